#!/bin/sh
# The browser that the tests of the marking page drive: Debian's Chromium, installed where that can be done.
# Where it cannot, those tests are skipped; in CI they then fail.
set -eu
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing the Debian package chromium for the tests of the marking page"
    mkdir -p build
    export DEBIAN_FRONTEND=noninteractive
    { apt-get install -y chromium || { apt-get update && apt-get install -y chromium; }; } >build/browser.log 2>&1 </dev/null ||
        echo "chromium could not be installed: build/browser.log; the tests in a browser are skipped"
else
    echo "no Chromium here: the tests of the marking page in a browser are skipped (Debian: apt-get install chromium)"
fi

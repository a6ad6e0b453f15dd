#!/bin/sh
# Makes requirements.lock anew from pyproject.toml: for every platform and Python at once, with hashes, without addresses.
# uv works in an environment of its own that is thrown away. Arguments go to uv, for example: --upgrade
set -eu
cd "$(dirname "$0")/.."
trap 'rm -rf build/lock-env' EXIT
.venv/bin/python -m venv --clear build/lock-env
build/lock-env/bin/python -m pip install --quiet --disable-pip-version-check uv
build/lock-env/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
    --group dev pyproject.toml --output-file requirements.lock "$@"
.venv/bin/python tools/tracked.py
echo "requirements.lock is made; the next make installs it"

#!/bin/sh
# Makes the environment .venv inside the checkout, exactly as requirements.lock says, and installs tallymark into it.
# Does nothing when it stands. Written for a machine that has only git, make and Python: POSIX sh, no other tools.
set -eu
cd "$(dirname "$0")/.."

MARK=.venv/.complete # written last, so that an interrupted set-up is never taken for a complete one
LOG=build/setup.log
NEED_GB=10

say() { printf '%s\n' "$*"; }

fail() {
    say "set-up failed: $*" >&2
    exit 1
}

# Runs a step with its noise kept in the log; on failure shows the end of it.
quietly() {
    if "$@" >>"$LOG" 2>&1; then return 0; fi
    tail -n 15 "$LOG" >&2
    return 1
}

# The fingerprint of what the environment is made from. Only a change of the lock downloads anything.
fingerprint() { printf '%s %s' "$1" "$(cksum <"$2")"; }

up_to_date() {
    [ -x .venv/bin/python ] && [ -f "$MARK" ] &&
        [ "$(cat "$MARK")" = "$(fingerprint lock requirements.lock; fingerprint ' package' pyproject.toml)" ]
}

same_lock() { [ -x .venv/bin/python ] && [ -f "$MARK" ] && grep -qF "$(fingerprint lock requirements.lock)" "$MARK"; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in ${TALLYMARK_PYTHON:-} python3.11 python3 python3.12 python3.13 python; do
        if new_enough "$candidate"; then
            printf '%s' "$candidate"
            return 0
        fi
    done
    return 1
}

# venv, else virtualenv, else (as root on Debian) the package that Debian splits from Python.
make_environment() {
    rm -rf .venv
    "$1" -m venv .venv >>"$LOG" 2>&1 && return 0
    rm -rf .venv
    "$1" -m virtualenv .venv >>"$LOG" 2>&1 && return 0
    rm -rf .venv
    virtualenv -p "$1" .venv >>"$LOG" 2>&1 && return 0
    rm -rf .venv
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing the Debian package python3-venv"
        export DEBIAN_FRONTEND=noninteractive
        apt-get install -y python3-venv >>"$LOG" 2>&1 </dev/null ||
            { apt-get update && apt-get install -y python3-venv; } >>"$LOG" 2>&1 </dev/null || true
        "$1" -m venv .venv >>"$LOG" 2>&1 && return 0
    fi
    rm -rf .venv
    fail "this Python cannot make environments; install python3-venv (Debian, Ubuntu: apt-get install python3-venv) and try again"
}

install_locked() {
    python=$(find_python) || fail "Python 3.11 or newer is needed, found $(python3 --version 2>&1 || true); install it, or name it: make TALLYMARK_PYTHON=/path/to/python3.11 ..."
    free_gb=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
    [ "$free_gb" -ge "$NEED_GB" ] || fail "$free_gb GB free here, $NEED_GB GB needed; free some space, or clone to another disk"
    say "setting up .venv with $("$python" --version): downloads several GB once (torch with CUDA), takes 3 to 10 minutes; log in $LOG"
    # A complete environment of an older lock is brought up to date; what is interrupted half-way is made from nothing.
    if [ -f "$MARK" ] && [ -x .venv/bin/python ]; then rm -f "$MARK"; else make_environment "$python"; fi
    # A small /tmp in memory cannot hold the downloads.
    mkdir -p build/tmp
    quietly env TMPDIR="$PWD/build/tmp" .venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check \
        --progress-bar off --only-binary :all: --require-hashes -r requirements.lock </dev/null ||
        fail "the packages of requirements.lock could not be installed (above, and in $LOG); is there a network? try again with the same command"
    rm -rf build/tmp
}

install_package() {
    rm -f "$MARK"
    quietly .venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check \
        --no-deps --no-build-isolation -e . </dev/null || fail "tallymark itself could not be installed (above, and in $LOG)"
    { fingerprint lock requirements.lock; fingerprint ' package' pyproject.toml; } >"$MARK.new"
    mv "$MARK.new" "$MARK"
}

if up_to_date; then exit 0; fi
mkdir -p build
# Two commands started at once must not build the same environment: the second waits for the first.
if command -v flock >/dev/null && [ "${TALLYMARK_SETUP_LOCKED:-}" = "" ]; then
    TALLYMARK_SETUP_LOCKED=1 exec flock build/setup.lock sh tools/setup.sh
fi
started=$(date +%s)
: >"$LOG"
same_lock || install_locked
install_package
say "set-up complete in $(($(date +%s) - started)) s"

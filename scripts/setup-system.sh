#!/bin/sh
# System packages that the tests need, emulated instruments included; with "hil", also those of `make hil`.
# Installed if we may, else the one command to run is printed.
# Does nothing where nothing is missing.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
purpose=${1:-test}

# Debian package, then the command that succeeds where its content is present.
check() {
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

environment_possible() {
    [ -x .venv/bin/pip ] || "$PYTHON" -c 'import ensurepip, venv'
}

headers_there() {
    "$PYTHON" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
}

library() {
    ls -d /usr/lib/*/"$1"
}

find_missing() {
    missing=""
    check python3-venv environment_possible
    # What instruments are emulated with: a compiler for a camera's library, screens for an SLM. Aravis is what a GigE
    # Vision camera is driven by.
    check gcc command -v gcc
    check libc6-dev test -e /usr/include/stdio.h
    # NIST's statistical tests are compiled when they are installed.
    check python3-dev headers_there
    check xserver-xorg-core command -v Xorg
    check xserver-xorg-video-dummy test -e /usr/lib/xorg/modules/drivers/dummy_drv.so
    check x11-xserver-utils command -v xrandr
    check xvfb command -v Xvfb
    check libxrandr2 library libXrandr.so.2
    check libgl1-mesa-dri library dri
    check libaravis-0.8-0 library libaravis-0.8.so.0
    # What the page is tested in.
    check chromium command -v chromium
    check fonts-dejavu-core test -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
    [ "$purpose" = hil ] || return 0
    check aravis-tools command -v arv-fake-gv-camera-0.8
}

find_missing
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if ! command -v apt-get >/dev/null 2>&1; then
    echo " ✗ missing:$missing (Debian's names); install what your system calls them" >&2
    exit 1
elif [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo " ✗ missing:$missing. Run: sudo $install" >&2
    exit 1
fi

echo " … installing$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
$as_root $install -qq >/dev/null

find_missing
if [ -n "$missing" ]; then
    echo " ✗ still missing after installation:$missing (is '$PYTHON' the system's Python?)" >&2
    exit 1
fi
echo " ✓ system packages ready"

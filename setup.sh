#!/bin/sh
# Sets knitter up: missing system packages, .venv, knitter in it.  Run again, it takes seconds and changes nothing.
#   ./setup.sh          to build images
#   ./setup.sh --dev    to run the tests, too
set -eu
cd "$(dirname "$0")"
say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

extra= group=build
case "${1-}" in
    "") ;;
    --dev) extra='[dev]' group=dev ;;
    *) die "usage: ./setup.sh [--dev]" ;;
esac

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else die "root is needed for: $*; run it as root, or install sudo"
    fi
}

install_packages() {
    [ $# -gt 0 ] || return 0
    say "installing $*"
    if command -v apt-get >/dev/null; then
        as_root apt-get update -q
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
    elif command -v dnf >/dev/null; then as_root dnf install -q -y "$@"
    else die "neither apt nor dnf here; install by hand: $*"
    fi
}

find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            echo "$name"
            return
        fi
    done
}

python=$(find_python)
if [ -z "$python" ]; then
    install_packages python3
    python=$(find_python)
    [ -n "$python" ] || die "Python 3.11 or newer is needed, and this system's packages have none"
fi
"$python" -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv

# knitter/machine/tools.py knows which package brings each tool; it needs nothing but Python.
kind=debian; command -v apt-get >/dev/null || kind=fedora
# shellcheck disable=SC2046  # one word a package
install_packages $("$python" -m knitter.machine.tools "$kind" "$group")

# What the virtual environment was made from, so that an unchanged one is left alone.
stamp=$({ cat pyproject.toml setup.sh; "$python" --version; echo "$PWD"; } | sha256sum)
if [ "$(cat ".venv/.knitter-$group" 2>/dev/null)" != "$stamp" ]; then
    say "making .venv"
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    .venv/bin/python -m pip install -q --disable-pip-version-check -e ".$extra"
    # So that doit works in any folder below this one: its own switch, set for this environment.
    site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    echo 'import os; os.environ.setdefault("DOIT_SEEK_FILE", "yes")' > "$site/knitter-seek.pth"
    printf '%s\n' "$stamp" > .venv/.knitter-build
    [ "$group" = build ] || printf '%s\n' "$stamp" > .venv/.knitter-dev
fi
say "ready: .venv/bin/doit list"

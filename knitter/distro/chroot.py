"""Run a command in a root tree as if the tree were a machine: no network, nothing it starts outlives it.

Or beside it, for a program of the host that itself runs programs in the tree.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from knitter.command import Command, command

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_MOUNT: Final = """
umask 022
root=$1
script=$2
shift 2
mount -t proc proc "$root/proc" 2>/dev/null || mount --rbind /proc "$root/proc"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
for name in full null random tty urandom zero; do
    : > "$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
for pair in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${pair%:*}" "$root/dev/${pair#*:}"; done
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
if [ -n "$script" ]; then
    cp -- "$script" "$root/run/script"
    chmod 755 "$root/run/script"
fi
"""
"""What is mounted vanishes with the mount namespace, and with it what was written in /dev, /run and /tmp."""

_INSIDE: Final = f'{_MOUNT}exec chroot "$root" /usr/bin/env -i "$@"\n'
_BESIDE: Final = f'{_MOUNT}exec env -i "$@"\n'


def inside(tree: Path, inner: Command, *, epoch: int, script: Path | None = None) -> Command:
    """*inner*, run by root of a private namespace in *tree*.

    Of the host's environment nothing comes in.  script: a file of the host that *inner* finds as
    /run/script.
    A process namespace of its own: the kernel ends every daemon that a script started when *inner* ends.
    """
    environment = {"DEBIAN_FRONTEND": "noninteractive", "HOME": "/root", **_environment(epoch), **inner.env}
    return _enter(_INSIDE, tree, script, environment, inner)


def beside(tree: Path, inner: Command, *, epoch: int) -> Command:
    """*inner*, a program of the host, run by root of the same namespace, in which *tree* has the same mounts."""
    return _enter(_BESIDE, tree, None, {**_environment(epoch), **inner.env}, inner)


def _environment(epoch: int) -> dict[str, str]:
    return {"LANG": "C.UTF-8", "PATH": PATH, "SOURCE_DATE_EPOCH": str(epoch)}


def _enter(text: str, tree: Path, script: Path | None, environment: Mapping[str, str], inner: Command) -> Command:
    enter = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", text, "sh", tree)
    assignments = [f"{name}={value}" for name, value in environment.items()]
    return command(*enter, script or "", *assignments, *inner.argv, stdin=inner.stdin, secrets=inner.secrets)

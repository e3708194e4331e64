"""Root without root: a private user, mount and process namespace of this host.

A holder process keeps the namespace; each command enters it.  The holder waits on a pipe from knitter, so when knitter
dies, however it dies, the pipe closes, the holder ends, the kernel kills every process inside and drops every mount.
The scratch directory is such a mount (tmpfs, when memory allows): a tree of foreign owners can never be left behind.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from knitter.command import command
from knitter.errors import KnitterError
from knitter.machine import tools
from knitter.machine.local import Local, Running

GRACE: Final = 10.0
"""Seconds for everything inside to end by itself."""
_HOLD: Final = """
set -eu
mount --make-rprivate /
if [ "$2" -gt 0 ]; then mount -t tmpfs -o "size=$2,mode=0755,nr_inodes=0" knitter "$1"; fi
echo ready
exec cat
"""


class Namespace(Local):
    """This host, as root of the namespace that the process *holder* keeps."""

    def __init__(self, holder: int) -> None:
        super().__init__(name="this host (private namespace)", enter=_enter(holder))
        self._holder = holder

    def outside(self, path: Path) -> Path:
        """Where knitter itself opens what is *path* inside: its own view lacks what is mounted there."""
        return Path(f"/proc/{self._holder}/root", path.relative_to("/"))


@contextmanager
def lease(scratch: Path, *, memory: int, log: Path | None = None) -> Iterator[Namespace]:
    """A machine where commands run as root, until the block ends.

    scratch: an existing directory; inside, an empty tmpfs of at most *memory* bytes covers it (0: none).
    Raises KnitterError if this host allows no such namespace.
    """
    flags = _flags()
    holder = Local().start(
        command("unshare", *flags, "--", "sh", "-c", _HOLD, "sh", scratch, memory),
        log=log,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        if holder.first_line() != "ready":
            raise _refused(holder)
        yield Namespace(holder.pid)
    finally:
        _release(holder)


def _release(holder: Running) -> None:
    """End the namespace by closing the pipe: its first process ignores SIGTERM, and 2 s would pass until SIGKILL."""
    for pipe in (holder.process.stdin, holder.process.stdout):
        if pipe is not None:
            pipe.close()
    with suppress(TimeoutError):
        holder.wait(GRACE)
    holder.stop()


def _flags() -> tuple[str, ...]:
    common = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--ipc", "--uts")
    if os.geteuid() == 0:
        return common
    tools.require(["newuidmap"])
    return ("--user", "--map-auto", "--map-root-user", *common)


def _enter(pid: int) -> tuple[str, ...]:
    user = () if os.geteuid() == 0 else (f"--user=/proc/{pid}/ns/user",)
    rest = (f"--mount=/proc/{pid}/ns/mnt", f"--uts=/proc/{pid}/ns/uts", f"--ipc=/proc/{pid}/ns/ipc")
    return ("nsenter", *user, *rest, f"--pid=/proc/{pid}/ns/pid_for_children", "--")


def _refused(holder: Running) -> KnitterError:
    holder.wait(5)
    return KnitterError(
        "this host gives no private namespace to build in",
        details=holder.tail,
        hint="as a user: newuidmap and ranges in /etc/subuid and /etc/subgid are needed (usermod --add-subuids "
        "100000-165535 --add-subgids 100000-165535 $USER), and user namespaces allowed "
        "(kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu 24.04); or run knitter as root; "
        "in a container: --privileged or --cap-add SYS_ADMIN with seccomp and AppArmor unconfined",
    )

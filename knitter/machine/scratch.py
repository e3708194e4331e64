"""Room to unpack and change a tree of foreign owners: in memory where it is plentiful, else on disk.

In memory it is faster and cannot be left behind.  On disk it is removed by root of the namespace that made it: a user
cannot remove what belongs to the users mapped there.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from knitter.command import command
from knitter.errors import KnitterError
from knitter.files import is_full
from knitter.machine.namespace import Namespace, lease
from knitter.units import GIB, KIB, human_size

Choice = Literal["auto", "memory", "disk"]

RESERVE: Final = GIB
"""Bytes of memory left to everybody else."""
_MAKE_ROOM: Final = "make room, or set build_directory in .doit.cfg, or KNITTER_BUILD_DIRECTORY, to a place that has it"
_UNLIMITED: Final = 1 << 62


@contextmanager
def scratch(choice: Choice, directory: Path, *, need: int, log: Path | None = None) -> Iterator[tuple[Namespace, Path]]:
    """A private machine with root, and an empty place in it: `directory/scratch`, gone when the block ends.

    choice: the site's `scratch` setting.
    need: bytes the place will hold at most; half as much again is allowed.
    Commands of the machine see the place as it is; knitter itself, by `machine.outside`.
    Raises KnitterError as `lease` does, or if the disk has too little room.
    """
    place = directory / "scratch"
    place.mkdir(parents=True, exist_ok=True)
    room = need + need // 2
    in_memory = choice == "memory" or (choice == "auto" and memory_available() > room + RESERVE)
    if not in_memory:
        require_space(place, room)
    with lease(place, memory=room if in_memory else 0, log=log) as machine:
        try:
            yield machine, place
        finally:
            if not in_memory:
                machine.run(command("rm", "-rf", "--one-file-system", place), log=log)
    discard(place)


def require_space(directory: Path, need: int) -> None:
    """Raise KnitterError if the file system of *directory* has fewer than *need* bytes free."""
    free = shutil.disk_usage(directory).free
    if free < need:
        raise KnitterError(
            f"too little space in {directory}",
            details=f"free: {human_size(free)}; needed: {human_size(need)}",
            hint=_MAKE_ROOM,
        )


@contextmanager
def full_told(directory: Path) -> Iterator[None]:
    """Turn the OSError of a disk that is full, while the block writes below *directory*, into a KnitterError."""
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise KnitterError(f"no space left in {directory}", details=str(error), hint=_MAKE_ROOM) from None


def discard(directory: Path) -> None:
    """Remove *directory* and all in it, also what a killed run left there under foreign owners."""
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        with lease(directory, memory=0) as machine:
            machine.run(command("rm", "-rf", "--one-file-system", directory))


def memory_available(root: Path = Path("/")) -> int:
    """Bytes that can be had without swapping: the host's, or less where control groups limit it.

    root: where proc and sys are looked for.
    """
    fields = dict(line.split(":", 1) for line in (root / "proc/meminfo").read_text().splitlines())
    host = int(fields["MemAvailable"].split()[0]) * KIB
    return min([host, *_left_in_cgroups(root)])


def _left_in_cgroups(root: Path) -> Iterator[int]:
    """Bytes left in this process's control group and each above it, of version 1 or 2."""
    for line in (root / "proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _left(root / "sys/fs/cgroup", path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            mount = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _left(mount, path, *names)


def _left(mount: Path, path: str, limit: str, usage: str, cache: str) -> Iterator[int]:
    """Limit minus usage of each group from *path* up; a cache that can be dropped is no usage."""
    group = mount / path.lstrip("/")
    for place in (group, *group.parents):
        if not place.is_relative_to(mount):
            return
        if (place / limit).exists():
            stat = dict(line.split() for line in (place / "memory.stat").read_text().splitlines())
            yield _number(place / limit) - _number(place / usage) + int(stat.get(cache, 0))


def _number(path: Path) -> int:
    text = path.read_text().strip()
    return _UNLIMITED if text == "max" else int(text)

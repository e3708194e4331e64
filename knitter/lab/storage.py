"""Volumes' data: a file per volume.

vol-0123.raw      a volume that began empty: sparse
vol-0123.qcow2    a volume of a snapshot: what differs from it
vol-0123.base     the snapshot's disk, by a second name: the snapshot may go, the volume stays
"""

import os
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from threading import Condition

from knitter.command import command
from knitter.lab.blocks import copy_sparse
from knitter.lab.records import Volume
from knitter.machine.local import Local
from knitter.units import GIB


class Storage:
    """The volume files of one directory.  Thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._changed = Condition()
        self._readers: Counter[str] = Counter()
        directory.mkdir(parents=True, exist_ok=True)

    def path(self, volume: Volume) -> Path:
        """The file that a machine is to use."""
        return self._directory / f"{volume.id}.{volume.format}"

    def reserve(self, volume: Volume, disk: Path) -> None:
        """Hold on to *disk*, that of the snapshot a new volume is made of, if it is.  Raises OSError."""
        if volume.snapshot_id:
            os.link(disk, self._base(volume))

    def make(self, volume: Volume) -> None:
        """The file of a new volume, for which `reserve` was called.  Raises OSError, KnitterError."""
        path, size = self.path(volume), volume.size * GIB
        if volume.format == "raw":
            with path.open("xb") as file:
                file.truncate(size)
        else:
            backing = ("-b", self._base(volume), "-F", "raw")
            Local().run(command("qemu-img", "create", "-q", "-f", "qcow2", *backing, path, size))

    def _base(self, volume: Volume) -> Path:
        return self._directory / f"{volume.id}.base"

    def copy(self, volume: Volume, target: Path) -> Iterator[float]:
        """Copy what is on a volume that no machine writes to *target*, a raw file.  Gives shares of 1 done."""
        yield 0.0
        if volume.format == "raw":
            yield from copy_sparse(self.path(volume), target)
        else:
            Local().run(command("qemu-img", "convert", "-q", "-f", "qcow2", "-O", "raw", self.path(volume), target))

    def delete(self, name: str) -> None:
        """Free the files of a volume."""
        for path in self._directory.glob(f"{name}.*"):
            path.unlink()

    def clean(self, known: Collection[str]) -> None:
        """Remove the files of volumes that are not *known*: the lab was killed while it made or deleted them."""
        for path in self._directory.iterdir():
            if path.stem not in known:
                path.unlink()

    def hold(self, name: str) -> None:
        """A copy of the volume begins: until `release` it is not plugged, unplugged or deleted."""
        with self._changed:
            self._readers[name] += 1

    def release(self, name: str) -> None:
        """The copy ended."""
        with self._changed:
            self._readers[name] -= 1
            self._changed.notify_all()

    def wait_free(self, *names: str) -> None:
        """Return once nobody copies these volumes."""
        with self._changed:
            self._changed.wait_for(lambda: not any(self._readers[name] for name in names))

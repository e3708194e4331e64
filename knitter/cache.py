"""The cache of files by content, shared by all recipes and safe for several processes at once.

<directory>/sha256/ab/abcd...    whole and verified; never changed, only added and removed
<directory>/partial/abcd...      coming in; survives a crash, so that a download goes on where it stopped
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from knitter.errors import KnitterError
from knitter.files import is_full, sha256_of


@dataclass(frozen=True, slots=True)
class Cache:
    """Files named by the sha256 (hexadecimal) of their content."""

    directory: Path

    def path(self, sha256: str) -> Path:
        """Where the file is, if it is there."""
        return self.directory / "sha256" / sha256[:2] / sha256

    def partial(self, sha256: str) -> Path:
        """Where the file is while it comes in."""
        return self.directory / "partial" / sha256

    def find(self, sha256: str, size: int) -> Path | None:
        """The file of *size* bytes; its content is not read."""
        path = self.path(sha256)
        try:
            return path if path.stat().st_size == size else None
        except OSError:
            return None

    def put(self, source: Path, sha256: str) -> Path:
        """Move *source*, whose content was verified and synced, in from the cache's file system.  Atomic."""
        path = self.path(sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        source.chmod(0o444)
        return source.replace(path)

    def verified(self, sha256: str) -> Path:
        """The file, read and found to be what its name says.  Raises KnitterError; a damaged file is removed."""
        path = self.path(sha256)
        try:
            found = sha256_of(path)
        except OSError as error:
            raise KnitterError(
                f"{path} cannot be read", details=str(error), hint="run again: it is fetched anew"
            ) from None
        if found != sha256:
            path.unlink(missing_ok=True)
            raise KnitterError(
                f"{path} was damaged, and is removed",
                details=f"its sha256 is {found}",
                hint="run again: it is fetched anew; if this repeats, check the disk",
            )
        return path

    def prune(self, *, before: float) -> None:
        """Remove what was written or touched before that time, seconds since 1970."""
        for path in self.directory.glob("*/**/*"):
            with suppress(OSError):  # another process may prune, too
                if path.is_file() and path.stat().st_mtime < before:
                    path.unlink()

    def open(self) -> None:
        """Make the directories.  Raises KnitterError if nothing can be written here."""
        with self.guard():
            for name in ("sha256", "partial"):
                (self.directory / name).mkdir(parents=True, exist_ok=True)

    def require_space(self, size: int) -> None:
        """Raise KnitterError unless *size* bytes are free."""
        free = shutil.disk_usage(self.directory).free
        if free < size:
            raise self._full(f"{size} bytes are needed, {free} are free")

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Turn the OSError of a write inside into a KnitterError that names the cache."""
        try:
            yield
        except OSError as error:
            if is_full(error):
                raise self._full(str(error)) from None
            raise KnitterError(
                f"cannot write in the cache {self.directory}", details=str(error), hint=_ELSEWHERE
            ) from None

    def _full(self, details: str) -> KnitterError:
        return KnitterError(
            f"no space left in the cache {self.directory}", details=details, hint=f"make room, or {_ELSEWHERE}"
        )


_ELSEWHERE = "set cache_directory in .doit.cfg, or KNITTER_CACHE_DIRECTORY, to a place you may write"

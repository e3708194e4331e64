"""The overlay: a recipe's `files/`, whose tree is laid over the root.

What counts of it: names, contents, links, and whether the owner may execute a file.  Owners, other mode bits and times
are those of whoever checked the recipe out, so they are not taken: `system.files` says what is not root's or default.
"""

import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import JsonValue

from knitter.errors import KnitterError, RecipeError
from knitter.files import sha256_of


def manifest(directory: Path) -> list[JsonValue]:
    """What counts of *directory*, sorted, as JSON; empty if there is none.  Raises KnitterError."""
    return [[str(path.relative_to(directory)), *_facts(path)] for path in _walk(directory)]


def digest(path: Path) -> str:
    """sha256 (hexadecimal) of a file of the recipe.  Raises KnitterError."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise KnitterError(f"{path} cannot be read", details=str(error)) from None


def write_archive(directory: Path, archive: Path, *, epoch: int) -> None:
    """Write *directory* as a tar: all is root's, 0755 if executable or a directory, else 0644, as old as the epoch."""
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as out:
        for path in _walk(directory):
            entry = out.gettarinfo(path, str(path.relative_to(directory)))
            entry.type = tarfile.REGTYPE if entry.islnk() else entry.type  # hard links are no more than an accident
            entry.size = path.lstat().st_size if entry.isfile() else 0
            entry.mode = 0o755 if path.is_dir() or entry.mode & stat.S_IXUSR else 0o644
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = epoch
            if entry.isfile():
                with path.open("rb") as content:
                    out.addfile(entry, content)
            else:
                out.addfile(entry)


def _walk(directory: Path) -> Iterator[Path]:
    try:
        for path in sorted(directory.rglob("*")):
            if not (path.is_symlink() or path.is_dir() or path.is_file()):
                raise RecipeError(f"{path} is neither file, directory nor link", hint="remove it from the overlay")
            yield path
    except OSError as error:
        raise KnitterError(f"{directory} cannot be read", details=str(error)) from None


def _facts(path: Path) -> list[JsonValue]:
    if path.is_symlink():
        return ["link", str(path.readlink())]
    if path.is_dir():
        return ["directory"]
    return ["program" if path.stat().st_mode & stat.S_IXUSR else "file", digest(path)]

"""Root trees as tar files: the same tree gives the same bytes, as root and rootless.

pax format, for names, sizes and extended attributes of any length.  Names sorted; owners as numbers; no access or
change times; modification times no later than the epoch, so that what was written now does not tell when.
Kept: modes, links, ACLs, and of the extended attributes `user.*` and capabilities.  Others say something about the
builder (`security.selinux`, `trusted.*`).
"""

from pathlib import Path
from typing import Final

from knitter.command import Command, command

_FORMAT: Final = ("--format=pax", "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime")
_ATTRIBUTES: Final = (
    "--acls",
    "--xattrs",
    "--xattrs-include=user.*",
    "--xattrs-include=security.capability",
)


def pack(tree: Path, archive: Path, *, epoch: int) -> Command:
    """Write *archive* from *tree*.  epoch: seconds since 1970."""
    times = (f"--mtime=@{epoch}", "--clamp-mtime")
    return command(
        "tar", "--create", "--file", archive, *_FORMAT, "--sort=name", *times, "--numeric-owner", *_ATTRIBUTES,
        "--directory", tree, ".",
    )  # fmt: skip


def unpack(archive: Path, tree: Path) -> Command:
    """Extract *archive* into *tree*, an existing directory."""
    return command(
        "tar", "--extract", "--file", archive, "--numeric-owner", "--same-permissions", "--same-owner", *_ATTRIBUTES,
        "--directory", tree,
    )  # fmt: skip


def lay_over(archive: Path, tree: Path) -> Command:
    """Extract an overlay into *tree*: directories that are there keep their owner and mode, links to them too."""
    return command(
        "tar", "--extract", "--file", archive, "--numeric-owner", "--same-permissions", "--same-owner",
        "--keep-directory-symlink", "--no-overwrite-dir", "--directory", tree,
    )  # fmt: skip

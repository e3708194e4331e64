"""ext4 in place: the same bytes from the same tree, wherever it was unpacked.

mke2fs -d formats and fills at once.  It copies access and change times, which unpacking and reading set and nobody can
set back, and leaves owner and mode of the root directory alone: debugfs puts both right afterwards (0.2 s for 18,000
files).
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from knitter.command import command
from knitter.disk.geometry import Slice
from knitter.disk.image import Image, no_room
from knitter.errors import CommandError, KnitterError
from knitter.units import GIB, KIB, MIB

_CONFIG: Final = """\
[defaults]
	base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
	default_mntopts = acl,user_xattr
	enable_periodic_fsck = 0
	blocksize = 4096
	inode_size = 256
	inode_ratio = 16384
	reserved_ratio = 5.0
[fs_types]
	ext4 = {
		features = has_journal,extent,huge_file,flex_bg,dir_nlink,extra_isize
	}
"""
"""Instead of the host's mke2fs.conf, which changes with its version."""
_FEATURES: Final[Mapping[str, str]] = {"ext4": "metadata_csum,64bit", "ext4-el6": "uninit_bg"}
"""Besides.  GRUB 2.06 reads all of ext4's, and not metadata_csum_seed and orphan_file, which later versions of
e2fsprogs add.  ext4-el6 is what the mke2fs of EL 6 makes: its kernel mounts nothing newer, and once 64bit or
metadata_csum was on, the journal stays unreadable to it."""
_OVERHEAD: Final = 32
"""One part in so many goes to inode tables, bitmaps and group descriptors."""
_NO_ROOM: Final = ("Could not allocate", "No space left", "No free space")
_SUPERBLOCK: Final = 1024
_FIRST_INODE: Final = 11


def make(image: Image, one: Slice, source: Path, *, label: str, kind: str = "ext4") -> None:
    """Format *one* as *kind* and fill it from the directory *source*.  Raises KnitterError if it is too small."""
    need = image.tree_size(source)
    if need + _journal(one) + one.size // _OVERHEAD > one.size:
        raise no_room(one, need)
    try:
        _format(image, one, source, label, _FEATURES[kind])
    except CommandError as error:
        if any(text in error.details for text in _NO_ROOM):
            raise no_room(one, need, error.details) from None
        raise
    _set_times(image, one, source)


def _format(image: Image, one: Slice, source: Path, label: str, features: str) -> None:
    """Everything that is not written is a hole, and marked as zeroed, so that the first boot has nothing to zero."""
    config = image.path.with_name("mke2fs.conf")
    image.machine.outside(config).write_text(_CONFIG)
    extended = f"offset={one.offset},hash_seed={one.uuid},nodiscard,lazy_itable_init=0,lazy_journal_init=0"
    journal = ("-J", f"size={_journal(one) // MIB}", "-O", features)
    none = ("-O", f"{features},^has_journal")
    identity = ("-U", str(one.uuid), "-L", label, *(journal if _journal(one) else none))
    argv = ("-q", "-F", "-t", "ext4", *identity, "-E", extended, "-d", source, image.path, f"{one.size // KIB}k")
    environment = {"E2FSPROGS_FAKE_TIME": str(image.epoch), "MKE2FS_CONFIG": str(config)}
    image.run(command("mke2fs", *argv, env=environment))


def _set_times(image: Image, one: Slice, source: Path) -> None:
    """Set access and change times to the epoch, and the root directory's owner and mode to those of *source*."""
    mode, owner, group = image.run(command("stat", "--format=%f %u %g", source)).text.split()
    lines = [f"sif <2> mode 0{int(mode, 16):o}", f"sif <2> uid {owner}", f"sif <2> gid {group}"]
    for inode in (2, *range(_FIRST_INODE, _used_inodes(image.outside, one) + 1)):
        lines += [f"sif <{inode}> atime @{image.epoch}", f"sif <{inode}> ctime @{image.epoch}"]
    where = f"{image.path}?offset={one.offset}"
    environment = {"E2FSPROGS_FAKE_TIME": str(image.epoch)}
    output = image.run(command("debugfs", "-w", "-f", "-", where, stdin="\n".join(lines), env=environment))
    if wrong := [line for line in output.stderr.splitlines() if not line.startswith("debugfs 1.")]:
        raise KnitterError(f"debugfs could not set the times of {one.mount}", details="\n".join(wrong))


def _used_inodes(disk: Path, one: Slice) -> int:
    """How many inodes are used; on a file system that was only ever filled they are the first ones, without a gap.

    https://docs.kernel.org/filesystems/ext4/globals.html#super-block
    """
    with disk.open("rb") as file:
        file.seek(one.offset + _SUPERBLOCK)
        inodes, free = struct.unpack("<I12xI", file.read(20))
    return int(inodes - free)


def _journal(one: Slice) -> int:
    """Bytes of the journal: 64 MiB in 8 GiB, as mke2fs itself chooses; 1 GiB at most; none where it would fill half."""
    if one.size < 32 * MIB:
        return 0
    return min(max(one.size // 128 // MIB, 4) * MIB, GIB)

"""Logical volumes: a partition that holds a volume group."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field

from knitter.recipe.base import Form, Problem, twice
from knitter.recipe.partitions import Filesystem, Part, Swap
from knitter.units import MIB, format_size

EXTENT: Final = 4 * MIB
"""What volumes are made of; LVM's own default."""
METADATA: Final = MIB
"""Before the first extent; LVM's own default."""

_RESERVED: Final = (
    "cdata", "cmeta", "corig", "cpool", "cvol", "imeta", "iorig", "mimage", "mlog", "pmspare", "rimage", "rmeta",
    "tdata", "tmeta", "vdata", "vorigin", "wcorig",
)  # fmt: skip
_NOT_VOLUMES: Final = rf"(?!snapshot|pvmove|.*_({'|'.join(_RESERVED)}))"
"""What LVM keeps for itself: lvm(8), VALID NAMES."""
_NAME: Final = r"(?!\.{1,2}$)[A-Za-z0-9_+.][A-Za-z0-9_+.-]{0,29}"
"""Short enough for the device mapper, which doubles each hyphen and has 127 characters for group and volume."""
_WORDS: Final = "a name of at most 30 letters, digits, _, +, . and -, no - first"

_GroupName = Annotated[str, Form(_NAME, _WORDS)]
_VolumeName = Annotated[str, Form(_NOT_VOLUMES + _NAME, f"{_WORDS}, and none that LVM keeps for itself")]


def as_filesystem(value: Any) -> Any:
    """A table that says no kind is a file system."""
    return {"kind": "filesystem"} | value if isinstance(value, dict) else value


class _Volume(Part):
    """What all volumes have."""

    smallest: ClassVar[int] = EXTENT

    name: _VolumeName
    """Such as `lv_root`."""

    def _problems(self) -> Iterator[Problem]:
        yield from super()._problems()
        if isinstance(self.size, int) and self.size % EXTENT:
            yield Problem(("size",), f"must be whole {format_size(EXTENT)}: a volume is made of such extents")


class VolumeFilesystem(_Volume, Filesystem):
    """A logical volume with a file system."""


class VolumeSwap(_Volume, Swap):
    """A logical volume that is swap space."""


Volume = Annotated[
    Annotated[VolumeFilesystem | VolumeSwap, Field(discriminator="kind")], BeforeValidator(as_filesystem)
]


class Lvm(Part):
    """A volume group of its own.  Its volumes do not grow with the disk by themselves."""

    why = "its volumes and LVM's own 1MiB lie in it"

    kind: Literal["lvm"]
    """What the partition is."""
    group: _GroupName
    """Name of the volume group, such as `vg_1`."""
    volumes: tuple[Volume, ...]
    """Logical volumes, in the order they lie in the group."""

    @property
    def least(self) -> int:
        """Bytes it must have."""
        return METADATA + sum(one.least if one.size == "rest" else one.size for one in self.volumes)

    def _problems(self) -> Iterator[Problem]:
        yield from super()._problems()
        if not self.volumes:
            yield Problem(("volumes",), "must hold at least one")
        yield from twice(("volumes",), tuple(one.name for one in self.volumes), "name")
        rest = [index for index, one in enumerate(self.volumes) if one.size == "rest"]
        for index in rest[1:]:
            yield Problem(("volumes", index, "size"), f"volumes[{rest[0]}] takes the rest already")

"""The ami section: how the image is registered.  Limits: EC2's RegisterImage and CreateTags."""

import re
import string
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from knitter.recipe.base import Form, Problem, Section, twice
from knitter.recipe.disk import VolumeSize
from knitter.units import GIB, TIB, format_size

BootMode = Literal["legacy-bios", "uefi", "uefi-preferred"]

OWN_TAGS: Final = 8
"""Tags that knitter may add: of EC2's 50, these are not the recipe's."""

_TAGS: Final = 50 - OWN_TAGS
_NAME: Final = re.compile(r"[A-Za-z0-9()\[\] ./'@_-]{3,128}")
_NAME_WORDS: Final = "must give 3 to 128 letters, digits, spaces and ()[]./-'@_"
_FIELDS: Final = ("recipe", "date", "key", "architecture")
_TYPE_SIZES: Final = {"standard": (GIB, TIB), "io1": (4 * GIB, 16 * TIB), "io2": (4 * GIB, 16 * TIB)}
_NEED_IOPS: Final = ("io1", "io2")
_TYPE_IOPS: Final = {"gp3": range(3000, 80001), "io1": range(100, 64001), "io2": range(100, 256001)}

_Ephemeral = Annotated[
    str,
    Form(
        r"/dev/(sd|xvd)[b-y]",
        "a device that EC2 gives to instance store, such as /dev/sdb: one of /dev/sd or /dev/xvd, and b to y",
    ),
]
_Description = Annotated[str, Form(r"[ -~]{0,255}", "one line of at most 255 ASCII characters")]


class BlockDevice(Section):
    """The root volume of instances of the AMI."""

    type: Literal["gp3", "gp2", "io1", "io2", "standard"] = "gp3"
    """EBS volume type.  io1 and io2 need `iops`."""
    size: VolumeSize | None = None
    """In whole GiB, no less than the disk.  Left out: as large as the disk."""
    iops: int | None = None
    """For gp3, io1 and io2.  Left out: what EBS gives a gp3."""
    delete_on_termination: bool = True
    """Whether the volume goes when its instance is terminated."""

    def _problems(self) -> Iterator[Problem]:
        least, most = _TYPE_SIZES.get(self.type, (0, self.size or 0))
        if self.size is not None and not least <= self.size <= most:
            yield Problem(("size",), f"must be from {format_size(least)} to {format_size(most)} for {self.type}")
        allowed = _TYPE_IOPS.get(self.type)
        if self.type in _NEED_IOPS and self.iops is None:
            yield Problem(("type",), f"{self.type} needs iops")
        if self.iops is not None and allowed is None:
            yield Problem(("iops",), f"a {self.type} volume takes none; gp3, io1 and io2 do")
        if self.iops is not None and allowed is not None and self.iops not in allowed:
            yield Problem(("iops",), f"must be from {allowed.start} to {allowed.stop - 1} for {self.type}")


class Ami(Section):
    """How the image is registered.  Read by `ami`."""

    name: str = "{recipe}-{date}-{key}"
    """Template: {recipe}, {date} (of the lock, YYYYMMDD), {key} (8 characters), {architecture}."""
    description: _Description = ""
    """Of the AMI: at most 255 characters of ASCII."""
    root_device: Literal["/dev/xvda", "/dev/sda1"] = "/dev/xvda"
    """How EC2 calls the root volume; the two names an HVM image may use."""
    boot_mode: BootMode | None = None
    """Left out: what boot.firmware says: legacy-bios, uefi, or uefi-preferred for both."""
    ena: bool = True
    """Enhanced networking, which every current instance type needs.  false: an image without its drivers, for types
    that run on Xen, such as t2.medium."""
    imds: Literal["v2.0", "v1.0"] = "v2.0"
    """v2.0: instances answer only metadata requests that carry a token."""
    tpm: bool = False
    """NitroTPM 2.0; needs boot mode uefi."""
    volume: BlockDevice = BlockDevice()
    """The root volume."""
    ephemeral: tuple[_Ephemeral, ...] = ()
    """Devices of the instance store, of types that have one: the first is ephemeral0, the next ephemeral1, ..."""
    tags: dict[str, str] = {}
    """Of the AMI and its snapshot, besides knitter's own; at most 42."""

    def fill_name(self, *, recipe: str, date: str, key: str, architecture: str) -> str:
        """The AMI's name: the template with all its fields."""
        return self.name.format(recipe=recipe, date=date, key=key, architecture=architecture)

    def _problems(self) -> Iterator[Problem]:
        if reason := _check_template(self.name):
            yield Problem(("name",), reason)
        # /dev/sdb and /dev/xvdb are one device, so that 24 letters are EC2's 24 devices
        yield from twice(("ephemeral",), tuple(device[-1] for device in self.ephemeral))
        if len(self.tags) > _TAGS:
            yield Problem(("tags",), f"{len(self.tags)} tags; EC2 allows 50, of which {OWN_TAGS} are knitter's")
        for key, value in self.tags.items():
            if reason := _check_tag(key, value):
                yield Problem(("tags", key), reason)


def check_name(name: str) -> str:
    """What forbids *name* as an AMI's name; empty if nothing does."""
    return "" if _NAME.fullmatch(name) else f"{_NAME_WORDS}; filled in it is {name!r}, of length {len(name)}"


def _check_template(template: str) -> str:
    try:
        fields = [part[1:] for part in string.Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        return f"is no template: {error}"
    bad = [field for field, form, conversion in fields if field not in _FIELDS or form or conversion]
    return f"may hold {', '.join(f'{{{field}}}' for field in _FIELDS)}, and no other braces" if bad else ""


def _check_tag(key: str, value: str) -> str:
    if key.lower().startswith(("aws:", "knitter:")):
        return "tags that begin with aws: or knitter: are not the recipe's to set"
    if not 1 <= len(key) <= 128 or len(value) > 256:
        return "a tag's key has 1 to 128 characters, its value at most 256"
    return "" if (key + value).isprintable() else "a tag has no control characters"

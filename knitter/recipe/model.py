"""The recipe: one section per stage, so that a change runs the stages that read it and no others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from knitter.recipe.ami import Ami, BlockDevice, BootMode, check_name
from knitter.recipe.base import Form, Line, Problem, Section, twice
from knitter.recipe.boot import Boot, Check, Firmware, Probe
from knitter.recipe.disk import Disk
from knitter.recipe.lvm import VolumeFilesystem
from knitter.recipe.packages import Architecture, DebianPackages, Repository
from knitter.recipe.partitions import Filesystem
from knitter.recipe.redhat import RedhatPackages
from knitter.recipe.system import File, System, User
from knitter.units import format_size

__all__ = [
    "Ami", "Architecture", "BlockDevice", "Boot", "BootMode", "Check", "DebianPackages", "Disk", "File", "Firmware",
    "Packages", "Probe", "Recipe", "RedhatPackages", "Repository", "System", "User",
]  # fmt: skip

Need = Literal["vsyscall"]

NOT_WRITTEN: Final = ("name", "directory", "parents")
"""Of Recipe: what its folder says, not its file."""

_BOOT_MODES: Final[dict[Firmware, BootMode]] = {"bios": "legacy-bios", "uefi": "uefi", "both": "uefi-preferred"}
_ALLOWED_MODES: Final[dict[Firmware, tuple[BootMode, ...]]] = {
    "bios": ("legacy-bios",),
    "uefi": ("uefi",),
    "both": ("legacy-bios", "uefi", "uefi-preferred"),
}

Packages = Annotated[
    Annotated[DebianPackages | RedhatPackages, Field(discriminator="family")],
    BeforeValidator(lambda value: {"family": "debian"} | value if isinstance(value, dict) else value),
]
"""The packages section of some family."""


class Recipe(Section):
    """One image."""

    name: Annotated[str, Form(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "at most 64 letters, digits, ., _ and -")]
    """The folder's name; not written in the file."""
    directory: Path
    """The recipe's folder, absolute; not written in the file."""
    parents: tuple[Path, ...] = ()
    """Folders of the recipes it extends, the first ancestor first, absolute; not written in the file."""
    description: Line = ""
    """One line, shown by `doit list`."""
    via: Literal["direct", "surrogate"] | None = None
    """How the disk becomes a snapshot.  Left out: as .doit.cfg says."""
    needs: tuple[Need, ...] = ()
    """What the host that builds it must have.  vsyscall: the page of that name, without which programs of EL 6 die."""
    packages: Packages
    """What the root file system is bootstrapped from."""
    system: System = System()
    """How the root file system is customised."""
    disk: Disk = Disk()
    """How the disk is cut."""
    boot: Boot = Boot()
    """How the image starts."""
    check: Check = Check()
    """What the booted guest must show."""
    ami: Ami = Ami()
    """How the image is registered."""

    @property
    def layers(self) -> tuple[Path, ...]:
        """The folders whose `files/` make the overlay, in the order they are laid: the first ancestor's first."""
        return (*self.parents, self.directory)

    @property
    def boot_mode(self) -> BootMode:
        """The AMI's boot mode: what the recipe says, else what its firmware means."""
        return self.ami.boot_mode or _BOOT_MODES[self.boot.firmware]

    def path_of(self, relative: str) -> Path:
        """A script or keyring of the recipe, absolute: its own, else that of the nearest parent that has it.

        So a child replaces its parent's script by a file of the same name.  An absolute path stays what it is.
        """
        found = [path for layer in reversed(self.layers) if (path := layer / relative).exists()]
        return found[0] if found else self.directory / relative

    def _problems(self) -> Iterator[Problem]:
        yield from twice(("needs",), self.needs)
        yield from self._grub_legacy() if self.boot.loader == "grub-legacy" else self._firmware()
        yield from self._boot_mode()
        if self.packages.family != "redhat":
            yield from (Problem(("system", *one.path), one.text) for one in self.system.only_redhat())
        size = self.ami.volume.size
        if size is not None and size < self.disk.size:
            yield Problem(("ami", "volume", "size"), f"must be no less than disk.size, {format_size(self.disk.size)}")
        name = self.ami.fill_name(
            recipe=self.name, date="20260101", key="0" * 8, architecture=self.packages.architecture
        )
        if reason := check_name(name):
            yield Problem(("ami", "name"), reason)

    def _firmware(self) -> Iterator[Problem]:
        firmware = self.boot.firmware
        kinds = {partition.kind for partition in self.disk.partitions}
        if self.packages.architecture == "arm64" and firmware != "uefi":
            yield Problem(("boot", "firmware"), 'packages.architecture = "arm64" has no BIOS: it boots from uefi only')
        if firmware != "bios" and self.disk.label == "msdos":
            yield Problem(("disk", "label"), f'boot.firmware = "{firmware}" needs "gpt"; or write firmware = "bios"')
        elif firmware != "bios" and "esp" not in kinds:
            yield Problem(("disk", "partitions"), f'boot.firmware = "{firmware}" needs a partition of kind "esp"')
        if firmware != "uefi" and self.disk.label == "gpt" and "bios-boot" not in kinds:
            yield Problem(
                ("disk", "partitions"), f'boot.firmware = "{firmware}" on gpt needs a partition of kind "bios-boot"'
            )

    def _grub_legacy(self) -> Iterator[Problem]:
        """What GRUB 0.97 can read."""
        needs = 'boot.loader = "grub-legacy"'
        if self.packages.architecture != "x86_64":
            yield Problem(("packages", "architecture"), f'{needs} needs "x86_64"')
        if self.boot.firmware != "bios":
            yield Problem(("boot", "firmware"), f'{needs} needs "bios"')
        if self.disk.label != "msdos":
            yield Problem(("disk", "label"), f'{needs} needs "msdos"')
        where, part = self.disk.holding("/boot")
        if isinstance(part, VolumeFilesystem):
            yield Problem(("disk", *where, "mount"), f"{needs} reads no LVM: /boot must be on a partition of its own")
        elif not (isinstance(part, Filesystem) and part.filesystem == "ext4-el6"):
            yield Problem(("disk", *where, "filesystem"), f'{needs} reads /boot from "ext4-el6" only')

    def _boot_mode(self) -> Iterator[Problem]:
        allowed = _ALLOWED_MODES[self.boot.firmware]
        if self.boot_mode not in allowed:
            yield Problem(("ami", "boot_mode"), f'boot.firmware = "{self.boot.firmware}" allows {" or ".join(allowed)}')
        elif self.ami.tpm and self.boot_mode != "uefi":
            yield Problem(("ami", "tpm"), f'needs ami.boot_mode = "uefi"; it is {self.boot_mode}')


def written_keys(section: type[Section]) -> list[str]:
    """The keys that a recipe file may hold where *section* is."""
    own = [key for key in section.model_fields if section is not Recipe or key not in NOT_WRITTEN]
    return ["extends", *own] if section is Recipe else own

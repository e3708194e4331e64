"""The recipe: one section per stage, so that a change runs the stages that read it and no others."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from knitter.recipe.base import Section, Size
from knitter.recipe.disk import Disk

Architecture = Literal["x86_64", "arm64"]
Firmware = Literal["bios", "uefi", "both"]


class Repository(Section):
    """An apt repository."""

    url: str
    """Base URL; may hold {release}."""
    suite: str
    """Such as `bookworm` or `bookworm-security`; may hold {release}."""
    components: tuple[str, ...] = ("main",)


class Packages(Section):
    """What the root file system is bootstrapped from.  Read by `packages`, and through its lock by `rootfs`."""

    family: Literal["debian"] = "debian"
    """Which family of distributions, that is which package manager."""
    release: str
    """Code name, such as `bookworm`."""
    architecture: Architecture = "x86_64"
    repositories: tuple[Repository, ...] = ()
    """None: the defaults of the host's bootstrap tool for this release."""
    keyring: str = ""
    """Public keys the repositories are signed with: a path in the recipe's folder (`keys/...`), or an absolute path of
    the host.  Empty: the distribution's own keyring package on the host."""
    install: tuple[str, ...] = ()
    """Packages, besides the essential ones."""
    remove: tuple[str, ...] = ()
    """Packages that must not come in."""
    recommends: bool = False
    """Whether recommended packages come in too."""


class File(Section):
    """Owner and mode of one path of the overlay tree `files/`."""

    path: str
    """Absolute path in the image."""
    owner: str = "root"
    group: str = "root"
    mode: Annotated[str, Field(pattern=r"^[0-7]{3,4}$")] = ""
    """Octal, such as `0750`.  Empty: 0755 if the file in `files/` is executable or a directory, else 0644."""


class User(Section):
    """A user account.  Never a password: log in with the key that EC2 delivers."""

    name: str
    uid: int | None = None
    groups: tuple[str, ...] = ()
    """Supplementary groups; they must exist."""
    shell: str = "/bin/bash"
    home: str = ""
    """Empty: /home/<name>."""
    sudo: bool = False
    """May run anything as root without a password."""
    system: bool = False
    """A system account: low uid, no home made."""


class System(Section):
    """How the root file system is customised.  Read by `rootfs`."""

    hostname: str = "localhost"
    locale: str = "C.UTF-8"
    timezone: str = "Etc/UTC"
    users: tuple[User, ...] = ()
    enable: tuple[str, ...] = ()
    """Services enabled, such as `ssh.service`."""
    mask: tuple[str, ...] = ()
    """Services masked: they cannot be started at all."""
    files: tuple[File, ...] = ()
    """Owners and modes of overlay files that are not root's or not the default mode."""
    scripts: tuple[str, ...] = ()
    """Scripts in the recipe's folder, run as root in the image in this order, after everything else.  No network."""


class Boot(Section):
    """How the image starts.  Read by `disk`."""

    loader: Literal["grub"] = "grub"
    firmware: Firmware = "both"
    """Which firmware the disk boots from."""
    arguments: str = "console=tty0 console=ttyS0,115200n8"
    """Kernel command line, besides root=.  EC2's console log is ttyS0."""


class Probe(Section):
    """A command in the booted guest that must succeed."""

    name: str
    run: str
    """Shell text, run as root; exit code 0 is success."""
    expect: str = ""
    """A regular expression that must be found in its output."""


class Check(Section):
    """What the booted guest must show.  Read by `boot`."""

    user: str = "admin"
    """Who logs in over SSH; must become root with sudo, or be root."""
    timeout: Annotated[int, Field(ge=10, le=3600)] = 600
    """Seconds from power-on until every check has passed."""
    probes: tuple[Probe, ...] = ()
    memory: Size = 1024**3
    """Of the guest."""


class BlockDevice(Section):
    """The root volume of instances of the AMI."""

    type: Literal["gp3", "gp2", "io1", "io2", "standard"] = "gp3"
    size: Size | None = None
    """None: as large as the disk."""
    delete_on_termination: bool = True


class Ami(Section):
    """How the image is registered.  Read by `ami`."""

    name: str = "{recipe}-{date}-{key}"
    """Template: {recipe}, {date} (of the lock, YYYYMMDD), {key} (8 characters), {architecture}."""
    description: str = ""
    root_device: str = "/dev/xvda"
    boot_mode: Literal["legacy-bios", "uefi", "uefi-preferred"] | None = None
    """None: what boot.firmware says."""
    ena: bool = True
    imds: Literal["v2.0", "v1.0"] = "v2.0"
    """v2.0: instances answer only metadata requests that carry a token."""
    tpm: bool = False
    """NitroTPM 2.0; needs uefi."""
    volume: BlockDevice = BlockDevice()
    tags: dict[str, str] = {}
    """Of the AMI and its snapshot, besides knitter's own."""


class Recipe(Section):
    """One image."""

    name: str
    """The folder's name; not written in the file."""
    directory: Path
    """The recipe's folder, absolute; not written in the file."""
    description: str = ""
    """One line, shown by `doit list`."""
    packages: Packages
    system: System = System()
    disk: Disk = Disk()
    boot: Boot = Boot()
    check: Check = Check()
    ami: Ami = Ami()

"""What is to be made, as far as preflight asks about it."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from knitter.aws.network import Subnet
from knitter.aws.session import Cloud
from knitter.aws.source import SourceImage
from knitter.settings import Settings, Via


class Image(Protocol):
    """An AMI that instances are to boot: the surrogate's source, or one that is going to be made."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def architecture(self) -> str:
        """`x86_64` or `arm64`."""

    @property
    def boot_mode(self) -> str:
        """`legacy-bios`, `uefi`, `uefi-preferred`, or "" for what its architecture means."""

    @property
    def ena(self) -> bool:
        """Whether it has the driver of enhanced networking."""


@dataclass(frozen=True, slots=True)
class Coming:
    """An AMI that is going to be made."""

    name: str
    """Of the recipe."""
    architecture: str
    boot_mode: str
    ena: bool
    image_name: str = ""
    """The AMI's; "" if it is known only once the disk is built."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is going to ask of the cloud."""

    settings: Settings
    roads: Collection[Via]
    """Of all its recipes."""
    find_source: Callable[[Cloud], SourceImage] | None = None
    """Finds the AMI of surrogates; the KnitterError it raises is a finding.  None: not asked."""
    coming: Sequence[Coming] = ()
    disks: int = 0
    """Bytes of the volumes that surrogates write."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the first surrogate would start; what is not known is empty."""

    source: SourceImage | None = None
    type: str = ""
    vcpus: int = 0
    subnet: Subnet | None = None

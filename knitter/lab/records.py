"""The records of the lab: one snapshot, one image, one volume."""

import time
from datetime import UTC, datetime
from secrets import token_hex
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

from pydantic import BaseModel


class Snapshot(BaseModel):
    """One snapshot: of the EBS direct APIs, or of CreateSnapshot or CopySnapshot.  Its blocks are in `Blocks`."""

    id: str
    account: str
    region: str
    volume_size: int
    """GiB."""
    description: str = ""
    started: datetime
    timeout: int = 60
    """Minutes without a put until a pending snapshot fails."""
    parent: str = ""
    token: str = ""
    request: dict[str, Any] = {}
    """What StartSnapshot was asked, to compare with when its ClientToken comes again."""
    tags: dict[str, str] = {}
    completed: float | None = None
    """Seconds since 1970 when it is, or will be, completed."""
    failed: bool = False
    volume_id: str = "vol-ffffffff"
    encrypted: bool = False
    kms_key_id: str | None = None
    written: int = 0
    """Bytes of its blocks, once complete."""
    create_volume_permission_groups: set[str] = set()
    create_volume_permission_userids: set[str] = set()
    of_volume: bool = False
    """CreateSnapshot's: the lab fills it, and nobody puts blocks into it."""
    copied: int = 0
    """Percent of the volume, while it is filled."""

    @property
    def state(self) -> Literal["pending", "completed", "error"]:
        """AWS's state, without the Timeout, which `Ledger.refresh` looks after."""
        if self.failed:
            return "error"
        return "completed" if self.completed is not None and time.time() >= self.completed else "pending"

    @property
    def status(self) -> str:
        """Moto's word for `state`."""
        return self.state

    @property
    def owner_id(self) -> str:
        """Moto's word for `account`."""
        return self.account

    @property
    def volume(self) -> SimpleNamespace:
        """As much of a volume as moto asks a snapshot for."""
        return SimpleNamespace(id=self.volume_id, size=self.volume_size)


class Image(BaseModel):
    """One AMI."""

    id: str
    account: str
    region: str
    created: datetime
    fields: dict[str, Any]
    """What never changes, in the form of DescribeImages."""
    description: str = ""
    imds_support: str | None = None
    uefi_data: str | None = None
    tags: dict[str, str] = {}
    launch_permissions: list[dict[str, str]] = []
    deprecation: str | None = None
    protection: str = "disabled"
    unprotected_after: float = 0
    """Seconds since 1970: the end of deregistration protection's cool-down."""
    disabled: bool = False

    @property
    def name(self) -> str:
        """Unique in its account and region."""
        return str(self.fields["Name"])

    @property
    def state(self) -> str:
        """AWS's state."""
        return "disabled" if self.disabled else "available"

    @property
    def public(self) -> bool:
        """Everyone may launch it."""
        return {"Group": "all"} in self.launch_permissions

    @property
    def snapshots(self) -> list[str]:
        """Ids of the snapshots it is made of, each once."""
        ebs = (mapping.get("Ebs", {}) for mapping in self.fields["BlockDeviceMappings"])
        return list(dict.fromkeys(str(one["SnapshotId"]) for one in ebs if "SnapshotId" in one))

    # From here on: the names by which moto's RunInstances and CreateTags ask.

    platform: ClassVar[None] = None
    kernel_id: ClassVar[None] = None
    owner_alias: ClassVar[None] = None

    @property
    def owner_id(self) -> str:
        """The account."""
        return self.account

    @property
    def is_public(self) -> bool:
        """Everyone may launch it."""
        return self.public

    @property
    def virtualization_type(self) -> str:
        """Hvm | paravirtual."""
        return str(self.fields["VirtualizationType"])

    @property
    def architecture(self) -> str:
        """x86_64 | arm64 | ..."""
        return str(self.fields["Architecture"])

    @property
    def root_device_name(self) -> str:
        """Such as /dev/xvda."""
        return str(self.fields["RootDeviceName"])

    def get_filter_value(self, name: str, _: str | None = None) -> str | None:
        """Moto asks with `image-id` only; DescribeImages of the lab filters by itself."""
        return self.id if name == "image-id" else None


class Attachment(BaseModel):
    """Where a volume is plugged in."""

    instance: str
    device: str
    """Such as /dev/sdf."""
    state: Literal["attaching", "attached", "detaching"]
    since: datetime
    delete: bool
    """With its instance."""


class Volume(BaseModel):
    """One EBS volume.  Its data are in `Storage`."""

    id: str
    account: str
    region: str
    zone: str
    size: int
    """GiB."""
    type: str
    iops: int | None = None
    throughput: int | None = None
    encrypted: bool = False
    kms_key_id: str | None = None
    snapshot_id: str = ""
    created: datetime
    token: str = ""
    request: dict[str, Any] = {}
    """What CreateVolume was asked, to compare with when its ClientToken comes again."""
    tags: dict[str, str] = {}
    phase: Literal["creating", "there", "deleting"] = "creating"
    attachment: Attachment | None = None

    @property
    def state(self) -> str:
        """AWS's state."""
        if self.phase == "there":
            return "in-use" if self.attachment else "available"
        return self.phase

    @property
    def format(self) -> Literal["raw", "qcow2"]:
        """Of its file: a volume of a snapshot lies over the snapshot's."""
        return "qcow2" if self.snapshot_id else "raw"

    @property
    def serial(self) -> str:
        """As NVMe tells it in the guest: the id without its dash."""
        return self.id.replace("-", "")


def new_id(prefix: str) -> str:
    """An id as EC2's: *prefix*, a dash, 17 hexadecimal digits."""
    return f"{prefix}-0{token_hex(8)}"


def now() -> datetime:
    """UTC, in whole milliseconds, as AWS shows times."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

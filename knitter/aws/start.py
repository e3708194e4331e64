"""What is said to StartSnapshot.  Pure.  Source: EBS direct API Reference, StartSnapshot."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from knitter.aws.tags import as_list
from knitter.aws.upload import Blocks
from knitter.units import GIB

TIMEOUT: Final = 24 * 60
"""Minutes without a put after which AWS gives up the pending snapshot: a killed upload may be continued for a day."""
_TOKEN: Final = 60
"""Characters of the key in a ClientToken, which has at most 64: the rest is the attempt."""


@dataclass(frozen=True, slots=True)
class Order:
    """The snapshot that is wanted."""

    key: str
    """64 hexadecimal digits; decides the ClientToken."""
    disk: Path
    blocks: Blocks
    """Those that are not all zero."""
    size: int
    """Bytes of the volume, whole GiB."""
    description: str
    tags: dict[str, str]
    """The same on every run, as everything under one ClientToken must be."""
    encrypted: bool = False
    kms_key: str = ""
    """"": the account's default."""


def plan_start(order: Order, attempt: int) -> dict[str, Any]:
    """The parameters of StartSnapshot."""
    plan = {
        "VolumeSize": order.size // GIB,
        "Description": order.description,
        "ClientToken": token(order.key, attempt),
        "Timeout": TIMEOUT,
        "Tags": as_list(order.tags),
    }
    encryption = {"Encrypted": True} | ({"KmsKeyArn": order.kms_key} if order.kms_key else {})
    return plan | (encryption if order.encrypted else {})


def token(key: str, attempt: int) -> str:
    """The ClientToken of the n-th attempt at *key*: at most 64 ASCII characters."""
    return f"{key[:_TOKEN]}-{attempt}"

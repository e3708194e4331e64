"""Block and page tokens of the EBS direct APIs: sealed, so that a forged or expired one is known without a table."""

import base64
import binascii
import hmac
import secrets
import struct
import time
from typing import Final, Literal

LIFE: Final = {"page": 3600, "block": 7 * 86400}
"""Seconds: NextToken 60 minutes, BlockToken 7 days (EBS user guide, "List the blocks in a snapshot")."""
_HEAD: Final = struct.Struct(">QQ")

Kind = Literal["page", "block"]


class Tokens:
    """Tokens of one lab process; those of an earlier one are void."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def make(self, kind: Kind, snapshot: str, index: int) -> str:
        """A token in AWS's pattern, ^[A-Za-z0-9+/=]+$, at most 256 characters."""
        return self._sealed(kind, snapshot, index, int(time.time()) + LIFE[kind])

    def open(self, token: str, kind: Kind, snapshot: str) -> int | None:
        """The block index in a token; None if it is forged, expired, or of something else."""
        try:
            index, expiry = _HEAD.unpack_from(base64.b64decode(token, validate=True))
        except (binascii.Error, struct.error, ValueError):
            return None
        good = hmac.compare_digest(self._sealed(kind, snapshot, index, expiry), token)
        return int(index) if good and expiry >= time.time() else None

    def _sealed(self, kind: Kind, snapshot: str, index: int, expiry: int) -> str:
        head = _HEAD.pack(index, expiry)
        seal = hmac.digest(self._secret, f"{kind} {snapshot} ".encode() + head, "sha256")
        return base64.b64encode(head + seal).decode()

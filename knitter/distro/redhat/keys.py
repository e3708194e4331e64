"""OpenPGP public keys: the one that a fingerprint names, and nothing else of the file it came in.  Pure.

A file may hold many keys, armored or not.  RFC 4880: packets 4.2, armor 6.2, fingerprints of version 4 keys 12.2.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from typing import Final

from knitter.errors import KnitterError

_PUBLIC_KEY: Final = 6
"""The packet that begins a key; user ids, signatures and subkeys follow it."""
_ARMOR: Final = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(?:[^\r\n]+\r?\n)*[ \t]*\r?\n(.*?)(?:\r?\n=[A-Za-z0-9+/]{4})?\s*"
    rb"-----END PGP PUBLIC KEY BLOCK-----",
    re.DOTALL,
)


def select(data: bytes, fingerprint: str, origin: str) -> str:
    """The key with *fingerprint* (40 digits, upper case) among those in *data*, armored; the same for the same key.

    Raises KnitterError, which names *origin* and the keys that are there.
    """
    keys = parse(data)
    if fingerprint in keys:
        return armor(keys[fingerprint])
    found = "\n".join(f"it holds {one}" for one in keys) or "it holds no OpenPGP public key"
    raise KnitterError(
        f"{origin} does not hold the key {spaced(fingerprint)}",
        details=found,
        hint="compare with what the distribution says of its key elsewhere; then correct packages.keys in the recipe",
    )


def parse(data: bytes) -> dict[str, bytes]:
    """Fingerprint -> packets of each key in *data*; of other versions than 4, a text that says so."""
    keys: dict[str, bytes] = {}
    current = ""
    for tag, body, packet in _packets(_binary(data)):
        if tag == _PUBLIC_KEY:
            current = _fingerprint(body)
            keys[current] = b""
        if current:
            keys[current] += packet
    return keys


def armor(packets: bytes) -> str:
    """*packets* as text."""
    text = base64.b64encode(packets).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    check = base64.b64encode(_crc24(packets).to_bytes(3, "big")).decode()
    head, foot = (f"-----{word} PGP PUBLIC KEY BLOCK-----" for word in ("BEGIN", "END"))
    return "\n".join([head, "", *lines, f"={check}", foot, ""])


def keyring(texts: list[str]) -> bytes:
    """Armored keys as the keyring that gpgv reads."""
    return b"".join(_binary(text.encode()) for text in texts)


def spaced(fingerprint: str) -> str:
    """Ten groups of four digits, as gpg prints it."""
    groups = [fingerprint[start : start + 4] for start in range(0, len(fingerprint), 4)]
    return f"{' '.join(groups[:5])}  {' '.join(groups[5:])}"


def _binary(data: bytes) -> bytes:
    blocks = _ARMOR.findall(data)
    try:
        return b"".join(base64.b64decode(block) for block in blocks) if blocks else data
    except binascii.Error:
        return b""


def _fingerprint(body: bytes) -> str:
    if body[:1] != b"\x04":
        return f"a key of version {body[0]}" if body else "an empty key"
    return hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body).hexdigest().upper()  # noqa: S324 (12.2 says SHA-1)


def _packets(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Tag, body and whole of each packet; ends where *data* is no packets any more."""
    start = 0
    while start + 1 < len(data) and data[start] & 0x80:
        tag, begin, size = _head(data, start)
        if size is None or begin + size > len(data):
            return
        yield tag, data[begin : begin + size], data[start : begin + size]
        start = begin + size


def _head(data: bytes, start: int) -> tuple[int, int, int | None]:
    """Tag, where the body begins, and its length; None if that is not given at once, as in no key."""
    first, length = data[start], data[start + 1]
    if first & 0x40:
        tag = first & 0x3F
        if length < 192:
            return tag, start + 2, length
        if length < 224:
            return tag, start + 3, ((length - 192) << 8) + int.from_bytes(data[start + 2 : start + 3], "big") + 192
        return tag, start + 6, int.from_bytes(data[start + 2 : start + 6], "big") if length == 255 else None
    tag, kind = first >> 2 & 0x0F, first & 3
    if kind == 3:
        return tag, start + 1, None
    octets = 1 << kind
    return tag, start + 1 + octets, int.from_bytes(data[start + 1 : start + 1 + octets], "big")


def _crc24(data: bytes) -> int:
    """The armor's checksum (RFC 4880, 6.1)."""
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc = crc << 1 ^ (0x1864CFB if crc & 0x800000 else 0)
    return crc

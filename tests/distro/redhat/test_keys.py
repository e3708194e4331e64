"""OpenPGP keys, cut out of the files they come in."""

import hashlib

import pytest

from knitter.distro.redhat import keys
from knitter.errors import KnitterError


def packet(tag: int, body: bytes, *, old: bool = False) -> bytes:
    """RFC 4880, 4.2: with a header of the new form, or the old one with a length of two octets."""
    if old:
        return bytes([0x80 | tag << 2 | 1]) + len(body).to_bytes(2, "big") + body
    if len(body) < 192:
        return bytes([0xC0 | tag, len(body)]) + body
    return bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4, "big") + body


def fingerprint(body: bytes) -> str:
    return hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body).hexdigest().upper()


ONE, TWO, NEW = b"\x04one", b"\x04" + b"two" * 100, b"\x06six"
USER, SIGNATURE, SUBKEY = packet(13, b"me"), packet(2, b"x" * 300), packet(14, b"\x04sub")
FIRST = packet(6, ONE, old=True) + USER + SIGNATURE
SECOND = packet(6, TWO) + USER + SUBKEY


def test_each_key_with_what_belongs_to_it() -> None:
    assert keys.parse(FIRST + SECOND) == {fingerprint(ONE): FIRST, fingerprint(TWO): SECOND}


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_armored_keys_one_after_the_other(ends: str) -> None:
    text = f"These are our keys.\n{keys.armor(FIRST)}\nand\n{keys.armor(SECOND)}".replace("\n", ends)
    assert list(keys.parse(text.encode()).values()) == [FIRST, SECOND]


def test_armor_with_headers_and_without_checksum() -> None:
    lines = keys.armor(FIRST).splitlines()
    text = "\n".join([lines[0], "Version: GnuPG v1", "Comment: x", *lines[1:-2], lines[-1]])
    assert keys.parse(text.encode()) == {fingerprint(ONE): FIRST}


def test_the_key_wanted_and_no_other() -> None:
    text = keys.select(SECOND + FIRST, fingerprint(ONE), "keys/k")
    assert keys.parse(text.encode()) == {fingerprint(ONE): FIRST}
    assert keys.keyring([text, keys.armor(SECOND)]) == FIRST + SECOND


def test_another_key_is_refused_and_named() -> None:
    with pytest.raises(KnitterError) as caught:
        keys.select(FIRST + packet(6, NEW), "0123456789" * 4, "keys/k")
    assert caught.value.brief == "keys/k does not hold the key 0123 4567 8901 2345 6789  0123 4567 8901 2345 6789"
    assert caught.value.details == f"it holds {fingerprint(ONE)}\nit holds a key of version 6"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x99",
        b"<html>",
        FIRST[:5],
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n*\n-----END PGP PUBLIC KEY BLOCK-----\n",
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAA\n-----END PGP PUBLIC KEY BLOCK-----\n",
        b"\xc6\xe0aaaa",  # a partial length
        b"\x9baaaa",  # an indeterminate one
        USER,
    ],
)
def test_what_is_no_key(data: bytes) -> None:
    assert keys.parse(data) == {}


@pytest.mark.parametrize("size", [0, 191, 192, 8383, 8384, 70000])
def test_lengths(size: int) -> None:
    if 192 <= size < 8384:
        length = bytes([(size - 192 >> 8) + 192, size - 192 & 0xFF])
    else:
        length = bytes([size]) if size < 192 else b"\xff" + size.to_bytes(4, "big")
    data = packet(6, ONE) + bytes([0xC0 | 13]) + length + bytes(size)
    assert keys.parse(data) == {fingerprint(ONE): data}

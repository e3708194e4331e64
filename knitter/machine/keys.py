"""SSH keys that exist only while they are needed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

Kind = Literal["ed25519", "rsa"]
"""rsa: for servers from before OpenSSH 6.5."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair that lives as long as this process, unless somebody writes it down."""

    private: str
    """OpenSSH's own format, several lines."""
    public: str
    """`ssh-ed25519 AAAA...`, without a comment."""

    def __repr__(self) -> str:
        return f"Key({self.public!r})"


def new_key(kind: Kind = "ed25519") -> Key:
    """A fresh key pair."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 only who logs in pays for it

    pair = _generate(kind)
    openssh = (serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    public = pair.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return Key(pair.private_bytes(*openssh).decode(), public.decode())


def _generate(kind: Kind) -> "Ed25519PrivateKey | RSAPrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa  # noqa: PLC0415 as above

    match kind:
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "rsa":
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)

"""SSH keys that exist only while they are needed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Key:
    """An ed25519 key pair that lives as long as this process, unless somebody writes it down."""

    private: str
    """OpenSSH's own format, several lines."""
    public: str
    """`ssh-ed25519 AAAA...`, without a comment."""

    def __repr__(self) -> str:
        return f"Key({self.public!r})"


def new_key() -> Key:
    """A fresh key pair."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 only who logs in pays for it
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    pair = Ed25519PrivateKey.generate()
    openssh = (serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    public = pair.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return Key(pair.private_bytes(*openssh).decode(), public.decode())

"""How a connection begins: who answers, how both sides sign, and the log-in.  Imports paramiko.

Hosts that cannot be given a host key may be as old as EL 6, whose OpenSSH 5.3 is from before RFC 8332 (2018) and knows
RSA keys that sign with SHA-1 only.  That is the last thing they are offered, and others not at all.
"""

import socket
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

import paramiko
from cryptography.hazmat.primitives import hashes

from knitter.errors import KnitterError
from knitter.machine.keys import Key
from knitter.machine.packets import CIPHERS, Packets
from knitter.machine.wire import PATIENCE

if TYPE_CHECKING:
    from knitter.machine.ssh import Endpoint

_OLD: Final = "ssh-rsa"
_RSA: Final = ("rsa-sha2-512", "rsa-sha2-256", _OLD)
"""How an RSA key may sign, best first."""


class RsaKey(paramiko.RSAKey):
    """Signs and verifies with SHA-1, too."""

    HASHES = {**paramiko.RSAKey.HASHES, _OLD: hashes.SHA1}  # type: ignore[misc]  # final in the stubs only


class OldTransport(paramiko.Transport):
    """Takes what old servers have."""

    _preferred_keys = (*paramiko.Transport._preferred_keys, _OLD)  # type: ignore[attr-defined]  # noqa: SLF001
    _key_info = {**paramiko.Transport._key_info, _OLD: RsaKey}  # type: ignore[attr-defined]  # noqa: SLF001
    server_extensions: dict[str, bytes]

    @property
    def preferred_pubkeys(self) -> tuple[str, ...]:
        """How to sign with an RSA key: with SHA-1 first if the server does not say what it takes."""
        known: Any = super().preferred_pubkeys
        return (*known, _OLD) if "server-sig-algs" in self.server_extensions else (_OLD, *known)


def open_transport(connection: socket.socket, endpoint: "Endpoint") -> paramiko.Transport:
    """The transport over *connection*, not begun."""
    pinned = endpoint.host_key and not endpoint.host_key.startswith(_OLD)
    kind = paramiko.Transport if pinned else OldTransport
    return kind(connection, packetizer_class=Packets)


def log_in(transport: paramiko.Transport, endpoint: "Endpoint", key: Key) -> None:
    """Raises KnitterError if the host shows another host key, paramiko's errors if it does not let *key* in."""
    options = transport.get_security_options()
    options.ciphers = CIPHERS
    if endpoint.host_key:
        kind = endpoint.host_key.split()[0]
        options.key_types = _RSA if kind == _OLD else (kind,)
    transport.banner_timeout = transport.auth_timeout = PATIENCE
    transport.start_client(timeout=PATIENCE)
    found = shown_key(transport)
    if endpoint.host_key and found != " ".join(endpoint.host_key.split()[:2]):
        raise KnitterError(
            f"{endpoint} presents another host key",
            details=f"expected: {endpoint.host_key}\nfound:    {found}",
            hint="somebody else answers there, or the image made its own key instead of taking the one it was given",
        )
    reader = RsaKey if key.public.startswith(_OLD) else paramiko.Ed25519Key
    transport.auth_publickey(endpoint.user, reader.from_private_key(StringIO(key.private)))


def shown_key(transport: paramiko.Transport) -> str:
    """The public key that the host presented."""
    found = transport.get_remote_server_key()
    return f"{found.get_name()} {found.get_base64()}"

"""How packets of an SSH connection reach the network: paramiko's own way, made quick enough for disks.

Measured on loopback with AES-GCM, two cores: paramiko sends 280 MiB/s, this 400, OpenSSH's client 460.  It saves copies
of each packet of 32 KiB, and hands the kernel several at once.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from paramiko.message import Message
from paramiko.packet import Packetizer

from knitter import interrupt
from knitter.units import GIB, KIB

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

CIPHERS: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr")
"""Offered, best first; the first is the fastest by far on a processor that has AES and needs no separate digest."""
TOGETHER: Final = 128 * KIB
"""Bytes handed to the kernel at once while packets are held; more did not help."""
REKEY_AFTER: Final = 32 * GIB
"""Bytes under one key: half of what RFC 4344, section 3.2, allows a cipher of 16-byte blocks."""
_LARGEST: Final = 64 * KIB
"""Bytes of a packet, at most: OpenSSH takes 32 KiB of data in one."""
_LENGTH, _TAG, _CIPHER_BLOCK, _LEAST_PADDING = 4, 16, 16, 4


class Packets(Packetizer):
    """Outgoing packets under AES-GCM (RFC 5647) are built here; everything else is left to paramiko."""

    REKEY_BYTES = REKEY_AFTER

    def __init__(self, wire: socket.socket) -> None:
        super().__init__(wire)
        self._wire = wire
        self._engine: Any = None
        self._salt, self._counter, self._sent = b"", 0, 0
        self._room = memoryview(bytearray(TOGETHER + _LARGEST))
        self._used = 0
        self._holder = 0
        self._sending = threading.RLock()

    def set_outbound_cipher(self, *args: Any, **named: Any) -> None:
        """New keys.  iv_out of an AEAD cipher is 4 bytes that stay and a counter of 8."""
        super().set_outbound_cipher(*args, **named)
        self._engine = named["block_engine"] if named["aead"] else None
        if self._engine:
            self._salt, self._counter, self._sent = named["iv_out"][:4], int.from_bytes(named["iv_out"][4:]), 0

    def send_message(self, data: Message) -> None:
        """Send one message, or keep it back for a moment while this thread holds its packets."""
        if self._engine is None:
            super().send_message(data)
            return
        with self._sending:
            self._append(data.asbytes())
            if self._holder != threading.get_ident() or self._used >= TOGETHER:
                self.flush()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside, this thread's packets are sent several at once; at its end all are sent.

        Another thread's packet takes along what is held: the exchange of new keys, which the holder waits for.
        """
        self._holder = threading.get_ident()
        try:
            yield
        finally:
            self._holder = 0
            self.flush()

    def flush(self) -> None:
        """Send what was kept back."""
        with self._sending:
            ready, self._used = self._room[: self._used], 0
            self.write_all(ready)

    def write_all(self, out: "ReadableBuffer") -> None:
        """Hand *out* to the kernel.  Raises EOFError when the connection is gone, Interrupted."""
        view = memoryview(out)
        while view:
            try:
                view = view[self._wire.send(view) :]
            except TimeoutError:  # paramiko gives its socket a short one
                interrupt.check()
                if self.closed:
                    raise EOFError from None
            except OSError as error:
                raise EOFError from error

    def _append(self, payload: bytes) -> None:
        padding = _LEAST_PADDING + -(1 + len(payload) + _LEAST_PADDING) % _CIPHER_BLOCK
        plain = b"".join((bytes((padding,)), payload, bytes(padding)))
        length = len(plain).to_bytes(_LENGTH)
        start, end = self._used, self._used + _LENGTH + len(plain) + _TAG
        self._room[start : start + _LENGTH] = length
        nonce = self._salt + self._counter.to_bytes(8)
        self._engine.encrypt_into(nonce, plain, length, self._room[start + _LENGTH : end])
        self._counter += 1
        self._used = end
        self._sent += end - start
        if self._sent >= REKEY_AFTER:
            self._trigger_rekey()  # type: ignore[attr-defined]

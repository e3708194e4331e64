"""A way in over SSH that breaks: `python cut.py --seed N --log FILE [--cuts K] [--most BYTES] ADDRESS PORT`.

As OpenSSH's ProxyCommand: stdin and stdout carry the connection.  It dies after a number of bytes, both ways counted,
that the seed and the number of lines in the log decide; it adds a line.  After K cuts it dies no more.
Standard library only: it is started by its path.
"""

import argparse
import fcntl
import os
import random
import selectors
import socket
import sys
from pathlib import Path

LEAST = 1024
"""Bytes that get through at least: not even the handshake of SSH is over then."""
PIECE = 65536


def main() -> int:
    """0 if a side closed the connection, 1 if it was cut."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--cuts", type=int, default=3)
    parser.add_argument("--most", type=int, default=16 << 20)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    asked = parser.parse_args()
    limit = enter(asked.log, asked.seed, asked.cuts, asked.most)
    with socket.create_connection((asked.address, asked.port)) as server:
        return carry(server, limit)


def enter(log: Path, seed: str, cuts: int, most: int) -> int | None:
    """Write down this connection; the bytes it has, or None for any number."""
    with log.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        number = len(file.readlines())
        limit = drawn(seed, number, most) if number < cuts else None
        file.write(f"{'all' if limit is None else limit}\n")
    return limit


def drawn(seed: str, number: int, most: int) -> int:
    """Bytes of the n-th connection: as often a few as very many."""
    return int(LEAST * (most / LEAST) ** random.Random(f"{seed} {number}").random())


def carry(server: socket.socket, left: int | None) -> int:
    """Copy both ways until a side closes, or *left* bytes are used up."""
    with selectors.DefaultSelector() as ready:
        ready.register(0, selectors.EVENT_READ, server.fileno())
        ready.register(server, selectors.EVENT_READ, 1)
        while True:
            for key, _ in ready.select():
                data = os.read(key.fd, PIECE)
                if not data:
                    return 0
                if left is not None:
                    data = data[:left]
                    left -= len(data)
                write_all(key.data, data)
                if left == 0:
                    return 1


def write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    sys.exit(main())

"""A disk through the surrogate's road, and the same bytes through `ssh host 'cat > device'`, in turn, on loopback.

The device is a loop device, so root is needed.  TMPDIR=/dev/shm leaves the host's own disk out of it.
"""

import getpass
import os
import random
import secrets
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from knitter.aws.journal import Journal
from knitter.disk import blocks
from knitter.machine import tools
from knitter.machine.keys import Key, new_key
from knitter.machine.packets import CIPHERS
from knitter.machine.ssh import Endpoint, connect
from knitter.surrogate.write import write_disk
from knitter.units import GIB, MIB
from tests.machine.conftest import CONFIG

SIZE = GIB


@dataclass
class Host:
    """An SSH server on loopback, and a directory of its own."""

    directory: Path
    endpoint: Endpoint
    key: Key


def measure(runs: int) -> list[tuple[str, str, str]]:
    """Rows of the table: medians of *runs* runs of each road."""
    with tempfile.TemporaryDirectory(prefix="knitter-bench-") as folder, _served(Path(folder)) as host:
        disk, listed = _disk(host.directory)
        roads: dict[str, Callable[[Path], None]] = {
            "write_disk": lambda device: _write(host, disk, listed, device),
            "ssh 'cat > device'": lambda device: _cat(host, disk, f"cat > {device}"),
        }
        speeds: dict[str, list[float]] = {name: [] for name in roads}
        for _ in range(runs):
            for name, road in roads.items():
                speeds[name].append(_timed(road, host.directory / "volume"))
    ours, plain = (statistics.median(found) for found in speeds.values())
    return [
        ("surrogate, write_disk", f"{ours:.0f} MiB/s", f"{ours / plain:.2f} x ssh (at least 0.7)"),
        ("surrogate, ssh 'cat > device'", f"{plain:.0f} MiB/s", f"({CIPHERS[0]})"),
    ]


def _timed(work: Callable[[Path], None], volume: Path) -> float:
    with _device(volume) as device:
        os.sync()  # neither pays for what the other left in memory
        begin = time.monotonic()
        work(device)
        return SIZE / MIB / (time.monotonic() - begin)


@contextmanager
def _device(file: Path) -> Iterator[Path]:
    """An empty one."""
    with file.open("wb") as made:
        made.truncate(SIZE)
    losetup = ["losetup", "--find", "--show", file]
    name = subprocess.run(losetup, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    try:
        yield Path(name)
    finally:
        subprocess.run(["losetup", "--detach", name], check=True)
        file.unlink()


def _cat(host: Host, disk: Path, command: str) -> None:
    options = {
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": host.directory / "known_hosts",
        "LogLevel": "ERROR",
    }
    argv = ["ssh", "-F", "none", "-c", CIPHERS[0], "-i", host.directory / "key", "-p", str(host.endpoint.port)]
    argv += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    with disk.open("rb") as file:
        subprocess.run([*argv, f"{host.endpoint.user}@127.0.0.1", command], stdin=file, check=True)


def _write(host: Host, disk: Path, listed: blocks.Blocks, volume: Path) -> None:
    with Journal(host.directory / f"{secrets.token_hex(8)}.journal", "vol-bench") as journal:
        write_disk(
            lambda: connect(host.endpoint, host.key), disk, listed, device=str(volume), size=SIZE, journal=journal
        )


def _disk(directory: Path) -> tuple[Path, blocks.Blocks]:
    """Full of noise, so that nothing is gained by leaving out or compressing."""
    disk = directory / "disk.raw"
    noise = random.Random(1)
    with disk.open("wb") as file:
        for _ in range(SIZE // MIB):
            file.write(noise.randbytes(MIB))
    blocks.write(disk, disk.with_suffix(".blocks"))
    return disk, blocks.read(disk.with_suffix(".blocks"))


@contextmanager
def _served(directory: Path) -> Iterator[Host]:
    host, user = new_key(), new_key()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, text in (("host_key", host.private), ("key", user.private), ("authorized_keys", user.public)):
        (directory / name).write_text(f"{text.rstrip()}\n")
        (directory / name).chmod(0o600)
    (directory / "known_hosts").write_text(f"[127.0.0.1]:{port} {host.public}\n")
    (directory / "sshd_config").write_text(CONFIG.format(port=port, directory=directory))
    Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists, and only systemd makes it
    server = subprocess.Popen([tools.find("sshd") or "sshd", "-D", "-f", directory / "sshd_config"])
    try:
        _wait_listening(port)
        yield Host(directory, Endpoint("127.0.0.1", port, getpass.getuser(), host.public), user)
    finally:
        server.kill()
        server.wait()


def _wait_listening(port: int) -> None:
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(0.05)
    raise SystemExit("sshd does not listen")

"""A real SSH server on loopback, for this user, with keys of its own."""

import getpass
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from knitter.machine import tools
from knitter.machine.keys import Key, new_key
from knitter.machine.ssh import Endpoint

CONFIG = """
ListenAddress 127.0.0.1:{port}
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
PidFile none
StrictModes no
UsePAM no
SetEnv HOME={directory}
PasswordAuthentication no
AcceptEnv none
SetEnv HOME={directory}
"""


OLD = """
KexAlgorithms diffie-hellman-group-exchange-sha256
HostKeyAlgorithms ssh-rsa
PubkeyAcceptedAlgorithms ssh-rsa
Ciphers aes128-ctr
MACs hmac-sha1
"""
"""Of what OpenSSH 5.3 knows, the best."""


@dataclass
class Server:
    endpoint: Endpoint
    key: Key
    process: subprocess.Popen[bytes]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with _serving(tmp_path, new_key(), new_key()) as made:
        yield made


@pytest.fixture
def old_server(tmp_path: Path) -> Iterator[Server]:
    """One that speaks as EL 6 does."""
    with _serving(tmp_path, new_key("rsa"), new_key("rsa"), OLD) as made:
        yield made


@contextmanager
def _serving(tmp_path: Path, host: Key, user: Key, more: str = "") -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "host_key").write_text(host.private)
    (tmp_path / "host_key").chmod(0o600)
    (tmp_path / "authorized_keys").write_text(f"{user.public}\n")
    (tmp_path / "sshd_config").write_text(CONFIG.format(port=port, directory=tmp_path) + more)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists, and only systemd makes it
    sshd = tools.find("sshd")
    assert sshd, "apt install openssh-server"
    said = tmp_path / "sshd.log"  # no pipe: sessions that outlive a failed test would hold its other end
    process = subprocess.Popen([sshd, "-D", "-E", said, "-f", tmp_path / "sshd_config"])
    try:
        _wait_listening(port, process, said)
        yield Server(Endpoint("127.0.0.1", port, getpass.getuser(), host.public), user, process)
    finally:
        process.kill()
        process.wait()


def _wait_listening(port: int, process: subprocess.Popen[bytes], said: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return

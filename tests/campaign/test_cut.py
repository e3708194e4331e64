"""The SSH connection that breaks: by seed, at the byte it says, and not for ever."""

import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tests.campaign import cut


def test_the_seed_decides() -> None:
    drawn = [cut.drawn("7", number, 1 << 20) for number in range(50)]
    assert drawn == [cut.drawn("7", number, 1 << 20) for number in range(50)]
    assert len(set(drawn)) > 40
    assert min(drawn) < 10_000
    assert max(drawn) > 200_000
    assert drawn != [cut.drawn("8", number, 1 << 20) for number in range(50)]


def echoed(directory: Path, data: bytes, *options: str) -> tuple[bytes, int]:
    """What comes back through a new connection to a server that echoes, and the exit code."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_echo, args=(server,), daemon=True).start()
        argv = [sys.executable, cut.__file__, "--seed", "1", "--log", str(directory / "log"), *options]
        port = server.getsockname()[1]
        with subprocess.Popen([*argv, "127.0.0.1", str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as one:
            assert one.stdin
            assert one.stdout
            one.stdin.write(data)
            one.stdin.flush()
            found = one.stdout.read(len(data))
            one.stdin.close()
            one.wait(10)
    return found, one.returncode


def _echo(server: socket.socket) -> None:
    client, _ = server.accept()
    with client, suppress(OSError):
        while data := client.recv(65536):
            client.sendall(data)


@pytest.mark.lab
def test_it_cuts_where_the_seed_says_and_then_no_more(tmp_path: Path) -> None:
    data = bytes(30_000)
    for number in range(2):
        found, code = echoed(tmp_path, data, "--cuts", "2", "--most", "8000")
        assert code == 1
        assert len(found) <= cut.drawn("1", number, 8000)
    found, code = echoed(tmp_path, data, "--cuts", "2", "--most", "8000")
    assert (found, code) == (data, 0)
    told = (tmp_path / "log").read_text().split()
    assert told == [*(str(cut.drawn("1", number, 8000)) for number in range(2)), "all"]

"""A guest's connection reaches the metadata service: real sockets, a real relay."""

import http.client
import shlex
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from knitter.vm import channel
from knitter.vm.metadata import Instance, Service

pytestmark = pytest.mark.lab

PATH = "/latest/meta-data/instance-id"


@contextmanager
def guest(command: str) -> Iterator[http.client.HTTPConnection]:
    """A connection made as QEMU makes it: the relay's stdin and stdout are one socket."""
    ours, theirs = socket.socketpair()
    with theirs:
        relay = subprocess.run(shlex.split(command), stdin=theirs, stdout=theirs, check=False)
    assert relay.returncode == 0
    ours.settimeout(20)
    connection = http.client.HTTPConnection("169.254.169.254")
    connection.sock = ours
    with closing(connection):
        yield connection


def ask(connection: http.client.HTTPConnection, method: str, path: str, **headers: str) -> tuple[int, bytes]:
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_tokens_over_one_connection() -> None:
    service = Service(Instance(user_data=b"\x00\xff", public_key="k"))
    with channel.lease(service) as command, guest(command) as connection:
        assert ask(connection, "GET", PATH) == (401, b"")
        _, token = ask(connection, "PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds="60")
        given = {"X_aws_ec2_metadata_token": token.decode()}
        assert ask(connection, "GET", PATH, **given) == (200, b"i-0123456789abcdef0")
        assert ask(connection, "GET", "/latest/user-data", **given) == (200, b"\x00\xff")
        assert ask(connection, "HEAD", PATH, **given) == (200, b"")
    assert [asked.method for asked in service.asked] == ["GET", "PUT", "GET", "GET", "HEAD"]


def test_many_connections_at_once() -> None:
    service = Service(Instance(user_data=b"", public_key="k", imds="v1.0"))
    with channel.lease(service) as command, guest(command) as one, guest(command) as other:
        one.request("GET", PATH)
        assert ask(other, "GET", PATH)[0] == 200
        assert one.getresponse().status == 200


def test_a_broken_request_harms_nobody() -> None:
    service = Service(Instance(user_data=b"", public_key="k", imds="v1.0"))
    with channel.lease(service) as command:
        with guest(command) as broken:
            broken.sock.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
            assert broken.sock.recv(100) != b"200"
        with guest(command) as connection:
            assert ask(connection, "GET", PATH)[0] == 200


def test_nothing_answers_after_the_end() -> None:
    with channel.lease(Service(Instance(user_data=b"", public_key="k"))) as command:
        pass
    done = subprocess.run(shlex.split(command), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Connection refused" in done.stderr

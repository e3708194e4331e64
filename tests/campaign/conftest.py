"""A lab of hosts, an image they start from, and the machines' keys."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from knitter.lab import service
from knitter.lab.service import Lab
from knitter.machine.keys import Key
from tests.lab.conftest import SIZE, boto_client, make_snapshot


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One for all tests of this folder: each makes things with keys of its own in it."""
    directory = tmp_path_factory.mktemp("hosts")
    try:
        yield service.ensure(directory, module="tests.campaign.hosts")
    finally:
        service.stop(directory)


@pytest.fixture(scope="session")
def ec2(hosts: Lab) -> Any:
    return boto_client(hosts, "ec2")


@pytest.fixture(scope="session")
def ebs(hosts: Lab) -> Any:
    return boto_client(hosts, "ebs")


@pytest.fixture(scope="session")
def image(ec2: Any, ebs: Any) -> str:
    """What hosts start from."""
    return register(ec2, ebs)


def register(ec2: Any, ebs: Any) -> str:
    """An AMI that nobody boots."""
    root = {"SnapshotId": make_snapshot(ec2, ebs, {0: b"\1" * SIZE})}
    name: str = ec2.register_image(
        Name=f"hosts {secrets.token_hex(4)}",
        Architecture="x86_64",
        VirtualizationType="hvm",
        RootDeviceName="/dev/xvda",
        EnaSupport=True,
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": root}],
    )["ImageId"]
    return name


def user_data(host: Key, user: Key) -> str:
    """The cloud-config of a host."""
    config = {
        "ssh_keys": {"ed25519_private": host.private, "ed25519_public": host.public},
        "ssh_authorized_keys": [user.public],
    }
    return f"#cloud-config\n{json.dumps(config)}\n"

"""debian-12 as an instance of the lab: a real system under QEMU, from launch to poweroff."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from knitter.command import script
from knitter.lab import service
from knitter.lab.machines import SSH_PORT
from knitter.machine.keys import Key, new_key
from knitter.machine.ssh import Endpoint, LostError, Ssh, wait_ssh
from knitter.vm import login
from tests.desk import Desk
from tests.lab.conftest import boto_client, make_volume, read_blocks, volume_state, wait_for
from tests.lab.test_instances import console, shown, state
from tests.lab.test_volumes import attachment

pytestmark = pytest.mark.boot
LIMIT = 600.0
"""Seconds: without KVM, and beside other work, Debian takes one or two minutes."""
METADATA = """
python3 - <<'end'
import urllib.error, urllib.request
BASE = "http://169.254.169.254/latest/"
def ask(path, method="GET", **headers):
    named = {f"X-aws-ec2-metadata-token{name}": value for name, value in headers.items()}
    with urllib.request.urlopen(urllib.request.Request(BASE + path, method=method, headers=named)) as answer:
        return answer.read().decode()
token = ask("api/token", "PUT", **{"-ttl-seconds": "60"})
for path in ("instance-id", "placement/availability-zone", "tags/instance/Name"):
    print(ask("meta-data/" + path, **{"": token}))
try:
    ask("meta-data/")
except urllib.error.HTTPError as error:
    print(error.code)
end
"""


@dataclass
class Cloud:
    ec2: Any
    ebs: Any
    image: str


@pytest.fixture(scope="module")
def cloud(debian: Desk) -> Cloud:
    lab, region = service.ensure(debian.site.lab), debian.site.settings.region
    image = str(debian.receipt("debian-12", "ami").facts["image"])
    return Cloud(boto_client(lab, "ec2", region=region), boto_client(lab, "ebs", region=region), image)


def launch(cloud: Cloud, host: Key, user: Key, **changes: Any) -> str:
    """An instance whose host key is *host* and which lets *user* in."""
    cloud.ec2.import_key_pair(KeyName="guest", PublicKeyMaterial=f"{user.public} guest".encode())
    asked = {
        "ImageId": cloud.image,
        "InstanceType": "t3.micro",
        "MinCount": 1,
        "MaxCount": 1,
        "KeyName": "guest",
        "UserData": login.plan_user_data(host).decode(),
        "MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
        "InstanceInitiatedShutdownBehavior": "terminate",
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "a guest"}]}],
    }
    name: str = cloud.ec2.run_instances(**(asked | changes))["Instances"][0]["InstanceId"]
    wait_for(lambda: state(cloud.ec2, name) == "running", limit=LIMIT)
    return name


def log_in(cloud: Cloud, name: str, host: Key, user: Key) -> Ssh:
    endpoint = Endpoint(shown(cloud.ec2, name)["PublicIpAddress"], SSH_PORT, "admin", host.public)
    return wait_ssh(endpoint, user, deadline=time.monotonic() + LIMIT, meanwhile=lambda: time.sleep(1))


def test_a_guest_from_launch_to_poweroff(cloud: Cloud) -> None:
    host, user = new_key(), new_key()
    name = launch(cloud, host, user)
    zone = shown(cloud.ec2, name)["Placement"]["AvailabilityZone"]
    volume = make_volume(cloud.ec2, AvailabilityZone=zone)
    machine = log_in(cloud, name, host, user)
    try:
        assert machine.run(script(METADATA)).text.split("\n")[:4] == [name, zone, "a guest", "401"]
        assert "Cloud-init v." in console(cloud.ec2, name)
        write_a_volume(cloud, machine, name, volume)
        root = shown(cloud.ec2, name)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
        taken = snapshot(cloud, root)
        assert len(read_blocks(cloud.ebs, taken)) > 500, "what the running system is made of"
        with suppress(LostError):  # it may be off before it has said that it will be
            machine.run(script("sudo systemctl poweroff --no-block"))
    finally:
        machine.close()
    wait_for(lambda: state(cloud.ec2, name) == "terminated", limit=LIMIT)
    assert shown(cloud.ec2, name)["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    assert volume_state(cloud.ec2, root) == ""
    cloud.ec2.delete_volume(VolumeId=volume)


def write_a_volume(cloud: Cloud, machine: Ssh, name: str, volume: str) -> None:
    """Plug in, find by serial, write two blocks past the cache, snapshot, compare, unplug."""
    cloud.ec2.attach_volume(VolumeId=volume, InstanceId=name, Device="/dev/sdf")
    wait_for(lambda: attachment(cloud.ec2, volume) == "attached", limit=LIMIT)
    serial = volume.replace("-", "")
    find = f"grep -l {serial} /sys/block/*/device/serial"
    wait_until(lambda: machine.run(script(find), check=False).code == 0)
    device = machine.run(script(find)).text.split("/")[3]
    machine.run(
        script(
            "yes knitter | head -c 524288 > /tmp/block\n"
            f"sudo dd if=/tmp/block of=/dev/{device} bs=524288 seek=3 oflag=direct status=none\n"
            f"sudo dd if=/tmp/block of=/dev/{device} bs=524288 seek=2047 conv=fsync status=none\n"
        )
    )
    block = (b"knitter\n" * 65536)[:524288]
    assert read_blocks(cloud.ebs, snapshot(cloud, volume)) == {3: block, 2047: block}
    cloud.ec2.detach_volume(VolumeId=volume)
    wait_for(lambda: volume_state(cloud.ec2, volume) == "available", limit=LIMIT)
    assert machine.run(script(find), check=False).code != 0
    assert read_blocks(cloud.ebs, snapshot(cloud, volume)) == {3: block, 2047: block}


def snapshot(cloud: Cloud, volume: str) -> str:
    name: str = cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    wait_for(
        lambda: cloud.ec2.describe_snapshots(SnapshotIds=[name])["Snapshots"][0]["State"] == "completed", limit=LIMIT
    )
    return name


def wait_until(check: Callable[[], bool]) -> None:
    wait_for(check, limit=LIMIT)

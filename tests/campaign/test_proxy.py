"""The proxy: nothing is changed but what the plan says, and the record is true."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError

from knitter.lab.service import Lab
from knitter.machine.keys import new_key
from tests.campaign.conftest import user_data
from tests.campaign.faults import Plan
from tests.campaign.proxy import Proxy
from tests.lab.conftest import REGION, boto_client, put, refusal, wait_for

pytestmark = pytest.mark.lab


@pytest.fixture
def proxy(hosts: Lab) -> Iterator[Proxy]:
    with Proxy(hosts, REGION) as proxy:
        yield proxy


def through(proxy: Proxy, service: str, attempts: int = 1) -> Any:
    return boto_client(Lab(proxy.url, 0), service, attempts=attempts)


def create(client: Any, **changes: Any) -> str:
    return str(client.create_volume(Size=1, AvailabilityZone=f"{REGION}a", **changes)["VolumeId"])


def test_without_a_plan_all_is_as_without_the_proxy(proxy: Proxy) -> None:
    """Signatures hold: the lab checks them against the Host that was sent."""
    client, blocks = through(proxy, "ec2"), through(proxy, "ebs")
    volume = create(client)
    assert client.describe_volumes(VolumeIds=[volume])["Volumes"][0]["Size"] == 1
    snapshot = blocks.start_snapshot(VolumeSize=1)["SnapshotId"]
    put(blocks, snapshot, 3, b"a" * 524288)
    assert through(proxy, "sts").get_caller_identity()["Account"]
    assert refusal(client.delete_volume, VolumeId="vol-0123456789abcdef0")[0] == "InvalidVolume.NotFound"
    assert proxy.carried_out == {"ec2:CreateVolume": 1, "ebs:StartSnapshot": 1, "ebs:PutSnapshotBlock 3": 1}
    assert not proxy.injected
    assert not proxy.lost


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        ("throttled", ("RequestLimitExceeded", "RequestThrottledException", "Throttling")),
        ("internal", ("InternalError", "InternalServerException", "InternalFailure")),
        ("unavailable", ("Unavailable", "ServiceUnavailable", "ServiceUnavailable")),
    ],
)
def test_refused_without_being_heard(proxy: Proxy, kind: Any, codes: tuple[str, str, str]) -> None:
    proxy.begin(Plan("1", {kind: 1.0}))
    assert refusal(through(proxy, "ec2").create_volume, Size=1, AvailabilityZone=f"{REGION}a")[0] == codes[0]
    assert refusal(through(proxy, "ebs").start_snapshot, VolumeSize=1)[0] == codes[1]
    assert refusal(through(proxy, "sts").get_caller_identity)[0] == codes[2]
    assert not proxy.carried_out
    assert proxy.injected == {kind: 3}


@pytest.mark.parametrize(("kind", "made"), [("reset before", 0), ("reset after", 1)])
def test_reset_before_or_after(proxy: Proxy, ec2: Any, kind: Any, made: int) -> None:
    proxy.begin(Plan("1", {kind: 1.0}))
    tag = f"{kind}-{time.monotonic()}"
    tags = [{"ResourceType": "volume", "Tags": [{"Key": "test", "Value": tag}]}]
    with pytest.raises((NoConnectionError, HTTPClientError)):
        create(through(proxy, "ec2"), TagSpecifications=tags)
    found = ec2.describe_volumes(Filters=[{"Name": "tag:test", "Values": [tag]}])["Volumes"]
    assert len(found) == made == proxy.lost["ec2:CreateVolume"] == proxy.carried_out["ec2:CreateVolume"]


def test_slow(proxy: Proxy) -> None:
    proxy.begin(Plan("1", {"slow": 1.0}))
    begin = time.monotonic()
    create(through(proxy, "ec2"))
    assert time.monotonic() - begin > 0.5


def test_some_of_all_and_a_client_that_repeats_gets_through(proxy: Proxy) -> None:
    proxy.begin(Plan("3", {"throttled": 0.2, "internal": 0.2, "reset before": 0.2}))
    client = through(proxy, "ec2", attempts=8)
    for _ in range(3):
        create(client)
    assert proxy.carried_out == {"ec2:CreateVolume": 3}
    assert sum(proxy.injected.values()) > 0


def outcome(call: Callable[..., Any], **arguments: Any) -> Any:
    try:
        return call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]


def test_what_was_made_is_not_known_at_once(proxy: Proxy) -> None:
    proxy.begin(Plan("2", settling=3.0))
    client = through(proxy, "ec2")
    volume = create(client)
    assert proxy.plan.settled_after(volume, 0) > 1.0  # of this seed
    filters = [{"Name": "size", "Values": ["1"]}]
    listed = {one["VolumeId"] for one in client.describe_volumes(Filters=filters)["Volumes"]}
    assert volume not in listed
    assert outcome(client.describe_volumes, VolumeIds=[volume]) == "InvalidVolume.NotFound"
    group = client.create_security_group(GroupName=f"g{time.monotonic()}", Description="d")["GroupId"]
    assert outcome(client.describe_security_groups, GroupIds=[group]) == "InvalidGroup.NotFound"
    wait_for(lambda: outcome(client.describe_volumes, VolumeIds=[volume]) != "InvalidVolume.NotFound")
    assert volume in {one["VolumeId"] for one in client.describe_volumes(Filters=filters)["Volumes"]}
    assert proxy.injected["missing in a list"] == 1


def test_no_capacity_in_the_first_places(proxy: Proxy, image: str) -> None:
    proxy.begin(Plan("1", full=2))
    client = through(proxy, "ec2")
    asked = {"ImageId": image, "MinCount": 1, "MaxCount": 1, "UserData": user_data(new_key(), new_key())}
    for kind in ("t3.micro", "t3.micro", "t3.small"):
        assert outcome(client.run_instances, InstanceType=kind, **asked) == "InsufficientInstanceCapacity"
    made = client.run_instances(InstanceType="t3.medium", **asked)["Instances"][0]["InstanceId"]
    client.terminate_instances(InstanceIds=[made])


def test_credentials_expire_for_some_requests(proxy: Proxy) -> None:
    proxy.begin(Plan("1", expired=(2, 3)))
    client, blocks = through(proxy, "ec2"), through(proxy, "ebs")
    assert create(client)
    assert outcome(client.describe_volumes) == "RequestExpired"
    assert outcome(blocks.start_snapshot, VolumeSize=1) == "ExpiredTokenException"
    assert create(client)


def test_an_instance_is_taken_away(proxy: Proxy, image: str, ec2: Any) -> None:
    proxy.begin(Plan("1", settling=1.0, interrupted=1.5))
    client = through(proxy, "ec2")
    made = client.run_instances(
        ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, UserData=user_data(new_key(), new_key())
    )["Instances"][0]["InstanceId"]
    listed = client.describe_instances()["Reservations"]
    assert made not in [one["InstanceId"] for group in listed for one in group["Instances"]]

    def state() -> str:
        found = ec2.describe_instances(InstanceIds=[made])["Reservations"][0]["Instances"][0]
        return str(found["State"]["Name"])

    wait_for(lambda: state() == "running")
    wait_for(lambda: state() == "terminated")
    assert proxy.injected["interruption"] == 1


def test_at_a_request_somebody_strikes(proxy: Proxy) -> None:
    struck: list[float] = []
    proxy.begin(Plan("1", struck=(2, 0.2)), lambda: struck.append(time.monotonic()))
    client = through(proxy, "ec2")
    for _ in range(2):
        client.describe_volumes()
    assert not struck
    wait_for(lambda: bool(struck))
    proxy.begin(Plan())
    assert proxy.heard == 0

"""What is left over, what is in use, and how it is removed."""

import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from knitter.aws.images import ensure_image
from knitter.aws.leftovers import EXPIRES, Found, Leftover, find_leftovers
from knitter.aws.removal import remove
from knitter.aws.session import Cloud
from knitter.aws.tags import as_list, run_tag, stamp
from knitter.lab.signature import ACCESS_KEY, SECRET_KEY
from tests.aws.test_images import make_wanted
from tests.aws.test_snapshots import ensure, make_order

pytestmark = pytest.mark.lab
ZONE = "eu-west-3a"


@pytest.fixture
def cloud(endpoint: str) -> Cloud:
    """A region of our own in the shared lab."""
    return Cloud("lab", "eu-west-3", endpoint=endpoint, keys=(ACCESS_KEY, SECRET_KEY))


@pytest.fixture(scope="module")
def account() -> Iterator[str]:
    """An endpoint where instances are rows in a table: moto as it is, which starts nothing."""
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 the variable must be set before

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
        del os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"]


@pytest.fixture
def rows(account: str) -> Cloud:
    """A region of that endpoint that nothing is in."""
    made = Cloud("eu-west-3", "eu-west-3", endpoint=account, keys=("testing", "testing"))
    remove(made, find_leftovers(made, ()).things)
    return made


def tags(stage: str, *, expires: datetime | None = None) -> Any:
    said = {EXPIRES: f"{expires:%Y-%m-%dT%H:%M:%SZ}"} if expires else {}
    return as_list(stamp(key="f" * 64, recipe="small", stage=stage, name="small") | run_tag() | said)


def make_instance(cloud: Cloud, *, expires: datetime | None = None) -> str:
    kinds: Any = [{"ResourceType": "instance", "Tags": tags("surrogate", expires=expires)}]
    answer = cloud.ec2.run_instances(
        ImageId="ami-0123456789abcdef0", MinCount=1, MaxCount=1, InstanceType="t3.small", TagSpecifications=kinds
    )
    return answer["Instances"][0]["InstanceId"]


def make_volume(cloud: Cloud, *, expires: datetime | None = None) -> str:
    kinds: Any = [{"ResourceType": "volume", "Tags": tags("volume", expires=expires)}]
    return cloud.ec2.create_volume(AvailabilityZone=ZONE, Size=2, VolumeType="gp3", TagSpecifications=kinds)["VolumeId"]


def make_group(cloud: Cloud) -> str:
    kinds: Any = [{"ResourceType": "security-group", "Tags": tags("surrogate")}]
    name = f"knitter-{secrets.token_hex(4)}"
    return cloud.ec2.create_security_group(GroupName=name, Description="a test's", TagSpecifications=kinds)["GroupId"]


def by_id(found: Found) -> dict[str, Leftover]:
    assert found.refused == ()
    return {one.id: one for one in found.things}


def test_each_kind_is_found_and_removed_and_then_nothing_is_left(rows: Cloud) -> None:
    kinds: Any = [{"ResourceType": "key-pair", "Tags": tags("surrogate")}]
    made = {
        make_instance(rows): "instance",
        make_volume(rows): "volume",
        make_group(rows): "security group",
        rows.ec2.create_key_pair(KeyName="knitter", TagSpecifications=kinds)["KeyPairId"]: "key pair",
    }
    rows.ec2.create_volume(AvailabilityZone=ZONE, Size=1)  # somebody else's
    found = find_leftovers(rows, ())
    assert {one.id: one.kind for one in found.things} == made
    assert {one.recipe for one in found.things} == {"small"}
    assert not any(one.alive for one in found.things)
    told: list[str] = []
    assert remove(rows, found.things, told.append) == {}
    assert [line.rsplit(" ", 3)[0] for line in told] == ["instance", "volume", "security group", "key pair"]
    # moto 5.2 heeds DeleteKeyPair's KeyName only, and answers as EC2 does about a pair that is gone.
    assert {one.kind for one in find_leftovers(rows, ()).things} <= {"key pair"}
    assert remove(rows, found.things) == {}, "what is gone counts as removed"


def test_what_is_named_is_in_use(rows: Cloud) -> None:
    volume = make_volume(rows)
    assert volume not in by_id(find_leftovers(rows, {volume}))
    assert volume in by_id(find_leftovers(rows, {"vol-1"}))


def test_what_a_run_may_still_be_at_is_alive_until_it_expires(rows: Cloud) -> None:
    now = datetime.now(UTC)
    alive, dead = make_volume(rows, expires=now + timedelta(hours=1)), make_volume(rows, expires=now - timedelta(1))
    found = by_id(find_leftovers(rows, ()))
    assert found[alive].alive
    assert found[alive].why.startswith("in use until ")
    assert not found[dead].alive
    assert not by_id(find_leftovers(rows, (), now=now + timedelta(hours=2)))[alive].alive


def test_a_volume_lives_as_long_as_its_instance(rows: Cloud) -> None:
    """Only the instance's tag is pushed back while work goes on."""
    now = datetime.now(UTC)
    instance = make_instance(rows, expires=now + timedelta(hours=1))
    volume = make_volume(rows, expires=now - timedelta(hours=1))
    rows.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    found = by_id(find_leftovers(rows, ()))
    assert found[instance].alive
    assert found[volume].alive
    assert volume not in by_id(find_leftovers(rows, {instance})), "its instance is in use, so it is"


def test_a_failure_is_kept_and_stops_nothing(rows: Cloud) -> None:
    """The volume is attached to somebody else's instance, so EC2 does not let it go."""
    foreign = rows.ec2.run_instances(ImageId="ami-0123456789abcdef0", MinCount=1, MaxCount=1)["Instances"][0]
    volume, group = make_volume(rows), make_group(rows)
    found = find_leftovers(rows, ())
    rows.ec2.attach_volume(VolumeId=volume, InstanceId=foreign["InstanceId"], Device="/dev/sdf")
    failed = remove(rows, found.things)
    assert list(failed) == [volume]
    assert failed[volume].code == "VolumeInUse"
    assert group not in by_id(find_leftovers(rows, ()))


def test_a_kind_that_cannot_be_listed_is_told_and_hides_nothing(cloud: Cloud) -> None:
    stranger = Cloud("lab", cloud.region, endpoint=cloud.endpoint, keys=("AKIAIOSFODNN7EXAMPLE", "wrong"))
    found = find_leftovers(stranger, ())
    assert found.things == ()
    assert {error.code for error in found.refused} == {"AuthFailure"}


def test_a_snapshot_is_left_over_if_no_ami_uses_it(cloud: Cloud, tmp_path: Path) -> None:
    used, unused = make_order(tmp_path, secrets.token_hex(32)), make_order(tmp_path, secrets.token_hex(32))
    kept, left = ensure(cloud, used).id, ensure(cloud, unused).id
    ensure_image(cloud, make_wanted(kept, used.key))
    pending = cloud.ebs.start_snapshot(VolumeSize=1, Tags=as_list(used.tags))["SnapshotId"]  # type: ignore[arg-type]
    found = by_id(find_leftovers(cloud, ()))
    assert kept not in found
    assert found[left].why == "no AMI uses it"
    assert "pending" in found[pending].why
    assert pending not in by_id(find_leftovers(cloud, {pending})), "a journal names it"
    assert remove(cloud, [found[left], found[pending]]) == {}
    assert by_id(find_leftovers(cloud, ())) == {}

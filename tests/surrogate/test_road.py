"""From a disk to a volume and a snapshot, by instances that are SSH servers: who is started, shared, trusted, ended."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from knitter.aws import inventory
from knitter.aws.session import Cloud
from knitter.aws.tags import RUN, RUN_ID
from knitter.disk import blocks
from knitter.errors import KnitterError
from knitter.lab.service import Lab
from knitter.lab.signature import ACCESS_KEY, SECRET_KEY
from knitter.stages.disk import BLOCKS, Disk
from knitter.stages.snapshot import Snapshot
from knitter.stages.stage import ensure
from tests.campaign import cut
from tests.campaign.conftest import ebs, ec2, hosts, image  # noqa: F401 (fixtures)
from tests.campaign.hosts import IMPOSTOR
from tests.lab.conftest import read_digests
from tests.stages.small import Desk
from tests.surrogate.road import Road

pytestmark = pytest.mark.lab
Begin = Callable[..., Road]


@pytest.fixture
def road(tmp_path: Path, hosts: Lab, image: str) -> Iterator[Callable[..., Road]]:  # noqa: F811 (the fixtures)
    """Begins a run; keywords are settings."""
    begun: list[Road] = []

    def begin(*, desks: int = 1, **changes: Any) -> Road:
        cloud = Cloud("lab", "eu-central-1", endpoint=hosts.endpoint, keys=(ACCESS_KEY, SECRET_KEY))
        own = {"via": "surrogate", "surrogate_image": image, "surrogate_user": "root", "surrogate_ttl": 300}
        made = [Desk(tmp_path / f"{len(begun)}-{number}", hosts.endpoint) for number in range(desks)]
        for desk in made:
            desk.root.mkdir()
            desk.make_disk()
        begun.append(Road(cloud, own | changes, made))
        return begun[-1]

    yield begin
    for one in begun:
        one.close()


def test_the_snapshot_of_the_volume_is_the_disk_and_nothing_else_is_left(road: Begin) -> None:
    run = road()
    build = run.build()
    snapshot = str(run.snapshot().facts["snapshot"])
    listed = blocks.read(Disk().folder(build) / BLOCKS)
    assert read_digests(run.cloud.ebs, snapshot) == dict(listed)
    assert run.close() == []
    ours: Any = [{"Name": f"tag:{RUN}", "Values": [RUN_ID]}]
    assert run.alive() == []
    assert run.cloud.ec2.describe_volumes(Filters=ours)["Volumes"] == []
    assert run.cloud.ec2.describe_security_groups(Filters=ours)["SecurityGroups"] == []


@pytest.mark.parametrize(("surrogates", "started"), [(1, 1), (2, 2)])
def test_two_recipes_at_once_share_one_surrogate_unless_there_may_be_two(
    road: Begin, surrogates: int, started: int
) -> None:
    run = road(desks=2, surrogates=surrogates)
    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(run.snapshot, number) for number in (0, 1)]
        names = {str(one.result().facts["snapshot"]) for one in made}
    assert len(names) == 2
    assert len(run.alive()) == started
    assert run.close() == []


def test_one_after_the_other_share_one_too(road: Begin) -> None:
    run = road(desks=2, surrogates=2)
    run.volume(0)
    run.volume(1)
    assert len(run.alive()) == 1


def test_an_unused_pool_starts_nothing_and_ends_at_once(road: Begin) -> None:
    run = road()
    assert run.close() == []
    assert run.said == []


def test_what_the_direct_road_stored_is_not_written_again(road: Begin) -> None:
    run = road(via="direct")
    stored = ensure(Snapshot(), run.build()).receipt
    run.settings["via"] = "surrogate"
    assert run.volume().facts["volume"] == ""
    assert ensure(Snapshot(), run.build()).receipt == stored
    assert run.alive() == []


def test_another_host_key_is_refused(road: Begin) -> None:
    run = road(surrogate_types=(IMPOSTOR,))
    with pytest.raises(KnitterError, match="presents another host key"):
        run.volume()
    assert run.close() == []
    assert run.alive() == []


def test_a_proxy_command_is_the_way_in(road: Begin, tmp_path: Any) -> None:
    log = tmp_path / "ways"
    way = f"{sys.executable} {cut.__file__} --seed 1 --log {log} --cuts 0 {{address}} {{port}}"
    run = road(ssh_proxy_command=way)
    run.volume()
    assert log.read_text().split() == ["all"] * len(log.read_text().split())
    [group] = run.cloud.ec2.describe_security_groups(Filters=[{"Name": f"tag:{RUN}", "Values": [RUN_ID]}])[
        "SecurityGroups"
    ]
    assert group["IpPermissions"] == [], "nobody needs to be let in"


def test_a_proxy_command_that_cannot_be_read_is_told(road: Begin) -> None:
    run = road(ssh_proxy_command="ssh -W '{address} bastion")
    with pytest.raises(KnitterError, match="ssh_proxy_command cannot be read"):
        run.volume()
    assert run.close() == []
    assert run.alive() == []


def test_the_temporary_group_admits_this_host_alone(road: Begin) -> None:
    run = road()
    run.volume()
    [group] = run.cloud.ec2.describe_security_groups(Filters=[{"Name": f"tag:{RUN}", "Values": [RUN_ID]}])[
        "SecurityGroups"
    ]
    [rule] = group["IpPermissions"]
    assert [one["CidrIp"] for one in rule["IpRanges"]] == ["127.0.0.1/32"]
    assert (rule["FromPort"], rule["ToPort"]) == (22, 22)


def test_the_world_is_not_let_in(road: Begin) -> None:
    run = road(surrogate_sources=("0.0.0.0/0",))
    with pytest.raises(KnitterError, match="admits everybody"):
        run.volume()
    assert run.alive() == []


def test_a_volume_that_no_snapshot_was_made_of_is_named_at_the_end(road: Begin) -> None:
    run = road()
    volume = str(run.volume().facts["volume"])
    [left] = run.close()
    assert volume in left
    assert f"aws ec2 delete-volume --volume-id {volume}" in left
    again = Road(run.cloud, run.settings, run.desks)
    assert again.volume().facts["volume"] == volume, "the next run goes on from it"
    again.snapshot()
    assert again.close() == []


def test_a_volume_goes_when_the_snapshot_came_by_the_other_road(road: Begin) -> None:
    run = road()
    volume = str(run.volume().facts["volume"])
    run.settings["via"] = "direct"
    ensure(Snapshot(), run.build())
    assert volume not in inventory.volumes(run.cloud)
    assert run.close() == []


def test_a_kept_volume_stays(road: Begin) -> None:
    run = road(keep_volume=True)
    volume = str(run.volume().facts["volume"])
    run.snapshot()
    assert run.close() == []
    [found] = run.cloud.ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    assert found["State"] == "available"
    run.cloud.ec2.delete_volume(VolumeId=volume)


def test_what_cannot_be_removed_is_named_with_the_command(road: Begin) -> None:
    run = road()
    run.snapshot()
    [instance] = run.alive()
    ledger = run.pool.ledger(run.cloud)
    with run.refused():
        left = run.close()
    assert any(f"aws ec2 terminate-instances --instance-ids {instance}" in one for one in left)
    assert ledger.close(lambda _: None) == []


def test_a_failed_surrogate_is_kept_if_wanted(road: Begin) -> None:
    run = road(on_failure="keep")
    disk = Disk().folder(run.build()) / "disk.raw"
    with disk.open("r+b") as file:
        file.write(b"changed after it was made")
    with pytest.raises(KnitterError, match="changed"):
        run.volume()
    left = run.close()
    [instance] = run.alive()
    assert any(instance in one and "on_failure = keep" in one for one in left)
    assert (run.desks[0].root / "build" / ".surrogate" / instance / "ssh_config").exists()
    run.cloud.ec2.terminate_instances(InstanceIds=[instance])

"""The lab's life: started once, found again, killed, stopped; it forgets nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from knitter.errors import KnitterError
from knitter.lab import service
from knitter.lab.journal import Journal
from tests.lab.conftest import REGION, SIZE, boto_client, make_snapshot, put, read_blocks, wait_for

pytestmark = pytest.mark.lab


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "lab"
    service.stop(tmp_path / "lab")


def test_a_lab_outlives_who_started_it_and_is_found_again(directory: Path) -> None:
    code = "import sys; from pathlib import Path; from knitter.lab import service; service.ensure(Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(directory)], check=True, timeout=60)
    lab = service.find(directory)
    assert lab is not None
    assert service.ensure(directory) == lab
    assert os.getsid(lab.pid) == lab.pid, "Ctrl-C in a terminal must not reach it"
    assert {Path(f"/proc/{lab.pid}/fd/{number}").readlink() for number in (1, 2)} == {directory / "lab.log"}
    assert service.stop(directory)
    assert service.find(directory) is None
    assert not service.stop(directory)


def test_a_lab_whose_directory_is_removed_ends(directory: Path) -> None:
    """As after `rm -rf build`: nobody could find it any more."""
    lab = service.ensure(directory)
    shutil.rmtree(directory)
    wait_for(lambda: not running(lab.pid))
    assert service.ensure(directory).pid != lab.pid


def running(pid: int) -> bool:
    """Or waited for by nobody yet."""
    path = Path(f"/proc/{pid}/stat")
    return path.exists() and path.read_text().split()[2] != "Z"


def test_two_knitters_start_one_lab(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory.parent)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(service.ensure, [Path("lab")] * 2)
    assert first == second == service.find(directory)


def test_a_lab_of_another_version_is_replaced(directory: Path) -> None:
    old = service.ensure(directory)
    path = directory / "lab.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": "0.0.1"}))
    new = service.ensure(directory)
    assert (new.endpoint, new.pid == old.pid) == (old.endpoint, False)
    assert not running(old.pid)


def test_a_killed_lab_comes_back_with_all_it_made(directory: Path) -> None:
    lab = service.ensure(directory)
    ec2, ebs = boto_client(lab, "ec2"), boto_client(lab, "ebs")
    blocks = {3: os.urandom(SIZE), 1000: os.urandom(SIZE)}
    done = make_snapshot(ec2, ebs, blocks, Tags=[{"Key": "a", "Value": "b"}])
    pending = ebs.start_snapshot(VolumeSize=1, ClientToken="again")["SnapshotId"]
    put(ebs, pending, 0, blocks[3])
    mapping = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": done}}
    image = ec2.register_image(Name="kept", RootDeviceName="/dev/xvda", BlockDeviceMappings=[mapping])["ImageId"]
    ec2.create_tags(Resources=[image, done], Tags=[{"Key": "later", "Value": "c"}])
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": "111122223333"}]})
    ec2.enable_image_deprecation(ImageId=image, DeprecateAt="2030-01-01T00:00:00Z")
    before = [ec2.describe_images()["Images"], ec2.describe_snapshots()["Snapshots"]]
    os.kill(lab.pid, signal.SIGKILL)
    again = service.ensure(directory)
    assert (again.endpoint, again.pid == lab.pid) == (lab.endpoint, False), "shells that point at it stay right"
    assert [ec2.describe_images()["Images"], ec2.describe_snapshots()["Snapshots"]] == before
    granted = ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")["LaunchPermissions"]
    assert granted == [{"UserId": "111122223333"}]
    assert read_blocks(ebs, done) == blocks
    assert ebs.start_snapshot(VolumeSize=1, ClientToken="again")["SnapshotId"] == pending
    ebs.complete_snapshot(SnapshotId=pending, ChangedBlocksCount=1)


def test_a_snapshot_that_nobody_feeds_fails(lab_directory: Path, ec2: Any, ebs: Any) -> None:
    """StartSnapshot, Timeout: a snapshot without puts for so many minutes gets the status error."""
    name = ebs.start_snapshot(VolumeSize=1, Timeout=10)["SnapshotId"]
    puts = lab_directory / "blocks" / f"{name}.puts"
    os.utime(puts, (time.time() - 500,) * 2)
    assert ec2.describe_snapshots(SnapshotIds=[name])["Snapshots"][0]["State"] == "pending"
    os.utime(puts, (time.time() - 601,) * 2)
    assert ec2.describe_snapshots(SnapshotIds=[name])["Snapshots"][0]["State"] == "error"
    ec2.delete_snapshot(SnapshotId=name)


def test_a_number_that_another_process_has_now_is_not_the_lab(directory: Path) -> None:
    directory.mkdir()
    state = {"pid": os.getpid(), "started": 1, "url": "http://127.0.0.1:1", "version": ""}
    (directory / "lab.json").write_text(json.dumps(state))
    assert service.find(directory) is None
    assert not service.stop(directory)


def test_the_environment_leads_to_the_lab_only() -> None:
    lab = service.Lab("http://127.0.0.1:1", 1)
    found = service.environment(lab, REGION)
    assert (found["AWS_ENDPOINT_URL"], found["AWS_REGION"]) == (lab.endpoint, REGION)
    assert not found.keys() & set(service.UNSET)


def test_a_lab_that_cannot_start_says_why(directory: Path) -> None:
    directory.mkdir()
    (directory / "journal.sqlite").write_text("this is no database, and long enough to be taken for one" * 100)
    with pytest.raises(KnitterError, match="the lab did not start") as caught:
        service.ensure(directory)
    assert "file is not a database" in caught.value.details
    assert str(directory / "lab.log") in caught.value.hint
    assert service.find(directory) is None


def test_a_directory_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KnitterError, match="cannot write"):
        service.ensure(tmp_path / "file" / "lab")


def test_what_a_killed_lab_had_begun_is_finished(directory: Path) -> None:
    """Killed between the journal's word that a snapshot is complete and the renaming of its file."""
    lab = service.ensure(directory)
    ec2, ebs = boto_client(lab, "ec2"), boto_client(lab, "ebs")
    data = os.urandom(SIZE)
    name = make_snapshot(ec2, ebs, {6: data})
    service.stop(directory)
    blocks = directory / "blocks"
    (blocks / f"{name}.sha256").rename(blocks / f"{name}.puts")
    (blocks / "snap-0123.raw").write_text("of no snapshot")
    service.ensure(directory)
    assert read_blocks(ebs, name) == {6: data}
    assert not (blocks / "snap-0123.raw").exists()


def test_a_moto_that_has_moved_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from moto.ec2.responses.amis import AmisResponse;"
        "del AmisResponse.register_image; from knitter.lab.corrections import correct;"
        "from knitter.lab.ledger import Ledger; correct(Ledger(Path(sys.argv[1])), None)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=False, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 1
    assert "it has no EC2Response.register_image" in ran.stderr


def test_a_second_process_for_one_directory_ends(directory: Path) -> None:
    service.ensure(directory)
    ran = subprocess.run(
        [sys.executable, "-m", "knitter.lab", str(directory)], check=False, capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, "already serving" in ran.stderr) == (1, True)


def test_the_journal_replaces_and_forgets(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.save("a", "1", "old")
    journal.save("a", "3", "later")
    journal.save("a", "1", "new")
    journal.save("b", "1", "other")
    journal.save("a", "2", "gone")
    journal.remove("a", "2")
    journal.close()
    again = Journal(tmp_path / "journal")
    assert list(again.load("a")) == ["new", "later"], "the oldest first, however often it changed"
    again.close()

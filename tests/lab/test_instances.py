"""Instances over the wire, on machines of the shelf.  Source of the rules: EC2 API reference, the action named."""

import json
import os
import signal
import urllib.request
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from knitter.lab import service
from knitter.lab.service import Lab
from tests.lab.conftest import REGION, boto_client, make_snapshot, make_volume, refusal, volume_state, wait_for

pytestmark = pytest.mark.lab
UNKNOWN = "i-00000000000000000"
_numbers = count()


def make_image(ec2: Any, snapshot: str, **changes: Any) -> str:
    ebs = {"SnapshotId": snapshot, "VolumeType": "gp3", "DeleteOnTermination": True}
    good = {
        "Name": f"to launch {next(_numbers)}",
        "Architecture": "x86_64",
        "VirtualizationType": "hvm",
        "RootDeviceName": "/dev/xvda",
        "EnaSupport": True,
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": ebs}],
    }
    return str(ec2.register_image(**(good | changes))["ImageId"])


@pytest.fixture(scope="module")
def image(ec2: Any, snapshot: str) -> str:
    return make_image(ec2, snapshot)


@pytest.fixture
def launch(ec2: Any, image: str) -> Iterator[Callable[..., str]]:
    """Launches one instance; all are terminated at the end."""
    names: list[str] = []

    def launch(**changes: Any) -> str:
        asked = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1} | changes
        names.append(ec2.run_instances(**asked)["Instances"][0]["InstanceId"])
        return names[-1]

    yield launch
    if names:
        ec2.terminate_instances(InstanceIds=names)
        wait_for(lambda: {state(ec2, name) for name in names} == {"terminated"})


def shown(ec2: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0]
    return found


def state(ec2: Any, name: str) -> str:
    return str(shown(ec2, name)["State"]["Name"])


def reach(ec2: Any, name: str, wanted: str) -> dict[str, Any]:
    wait_for(lambda: state(ec2, name) == wanted)
    return shown(ec2, name)


def console(ec2: Any, name: str) -> str:
    return str(ec2.get_console_output(InstanceId=name)["Output"])  # boto3 decodes it


def test_an_instance_runs_stops_starts_and_ends(ec2: Any, launch: Callable[..., str]) -> None:
    name = launch(UserData="slow")
    assert state(ec2, name) == "pending"
    running = reach(ec2, name, "running")
    root = running["BlockDeviceMappings"][0]
    assert (root["DeviceName"], root["Ebs"]["Status"], root["Ebs"]["DeleteOnTermination"]) == (
        "/dev/xvda",
        "attached",
        True,
    )
    address = running["PublicIpAddress"]
    assert address.startswith("127.")
    assert running["PrivateIpAddress"] == running["PublicDnsName"] == address
    assert (running["CurrentInstanceBootMode"], running["EnaSupport"]) == ("legacy-bios", True)
    assert f"on: bios v1.0 {address} /dev/xvda={root['Ebs']['VolumeId'].replace('-', '')}@1" in console(ec2, name)

    change = ec2.stop_instances(InstanceIds=[name])["StoppingInstances"][0]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "stopping")
    stopped = reach(ec2, name, "stopped")
    assert "PublicIpAddress" not in stopped
    assert stopped["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    ec2.start_instances(InstanceIds=[name])
    again = reach(ec2, name, "running")
    assert again["PublicIpAddress"] == address
    assert again["BlockDeviceMappings"][0]["Ebs"]["VolumeId"] == root["Ebs"]["VolumeId"]

    change = ec2.terminate_instances(InstanceIds=[name])["TerminatingInstances"][0]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "shutting-down")
    ended = reach(ec2, name, "terminated")
    assert ended["BlockDeviceMappings"] == []
    assert volume_state(ec2, root["Ebs"]["VolumeId"]) == ""
    assert ec2.terminate_instances(InstanceIds=[name])["TerminatingInstances"][0]["PreviousState"]["Name"] == (
        "terminated"
    )


def test_each_instance_has_an_address_of_its_own(ec2: Any, image: str) -> None:
    asked = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 2, "MaxCount": 2}
    made = [one["InstanceId"] for one in ec2.run_instances(**asked)["Instances"]]
    assert len({reach(ec2, name, "running")["PublicIpAddress"] for name in made}) == 2
    ec2.terminate_instances(InstanceIds=made)


def test_an_image_without_ena_runs_where_it_is_not_needed(ec2: Any, snapshot: str, launch: Callable[..., str]) -> None:
    """EC2 user guide, "Enable enhanced networking with ENA": on the others it is required."""
    old = make_image(ec2, snapshot, EnaSupport=False)
    code, _, message = refusal(launch, ImageId=old)
    assert (code, "ENA) is required for the 't3.micro'" in message) == ("InvalidParameterCombination", True)
    assert reach(ec2, launch(ImageId=old, InstanceType="t2.micro"), "running")["EnaSupport"] is False


@pytest.mark.parametrize(("behaviour", "end"), [("stop", "stopped"), ("terminate", "terminated")])
def test_a_machine_that_switches_itself_off(ec2: Any, launch: Callable[..., str], behaviour: str, end: str) -> None:
    """RunInstances, InstanceInitiatedShutdownBehavior."""
    name = launch(UserData="poweroff", InstanceInitiatedShutdownBehavior=behaviour)
    ended = reach(ec2, name, end)
    assert ended["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_a_machine_that_does_not_start_is_terminated(ec2: Any, launch: Callable[..., str]) -> None:
    name = launch(UserData="fail")
    ended = reach(ec2, name, "terminated")
    assert ended["StateReason"] == {
        "Code": "Server.InternalError",
        "Message": "Server.InternalError: it does not start",
    }


def test_the_same_token_gives_the_same_instance(ec2: Any, launch: Callable[..., str]) -> None:
    """RunInstances, ClientToken; moto ignores it."""
    name = launch(ClientToken="once")
    assert launch(ClientToken="once") == name
    asked = {"ImageId": shown(ec2, name)["ImageId"], "MinCount": 1, "MaxCount": 1, "ClientToken": "once"}
    assert refusal(ec2.run_instances, InstanceType="t3.small", **asked)[0] == "IdempotentParameterMismatch"
    assert shown(ec2, name)["ClientToken"] == "once"
    found = ec2.describe_instances(Filters=[{"Name": "client-token", "Values": ["once"]}])["Reservations"]
    assert [one["InstanceId"] for reservation in found for one in reservation["Instances"]] == [name]


def test_what_is_asked_for_is_there(ec2: Any, launch: Callable[..., str]) -> None:
    """Tags of all kinds, further volumes, metadata options, key pair, spot."""
    ec2.create_key_pair(KeyName="mine", KeyType="ed25519")
    public = ec2.describe_key_pairs(KeyNames=["mine"], IncludePublicKey=True)["KeyPairs"][0]["PublicKey"]
    kinds = ("instance", "volume", "network-interface")
    name = launch(
        TagSpecifications=[{"ResourceType": kind, "Tags": [{"Key": "kind", "Value": kind}]} for kind in kinds],
        BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 9, "DeleteOnTermination": False}},
            {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 3, "DeleteOnTermination": True, "Encrypted": True}},
        ],
        MetadataOptions={"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
        KeyName="mine",
        InstanceMarketOptions={"MarketType": "spot"},
    )
    instance = reach(ec2, name, "running")
    assert instance["Tags"] == [{"Key": "kind", "Value": "instance"}]
    assert instance["InstanceLifecycle"] == "spot"
    interface = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
    described = ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])["NetworkInterfaces"][0]
    assert described["TagSet"] == [{"Key": "kind", "Value": "network-interface"}]
    volumes = [one["Ebs"]["VolumeId"] for one in instance["BlockDeviceMappings"]]
    root, data = ec2.describe_volumes(VolumeIds=volumes)["Volumes"]
    assert (root["Size"], root["VolumeType"], root["Tags"]) == (9, "gp3", [{"Key": "kind", "Value": "volume"}])
    assert (data["Size"], data["Encrypted"], data["Attachments"][0]["State"]) == (3, True, "attached")
    told = console(ec2, name)
    assert f"key: {public.strip()} tags: (('kind', 'instance'),)" in told
    assert f"/dev/sdf={volumes[1].replace('-', '')}@2" in told
    assert " v2.0 " in told
    ec2.terminate_instances(InstanceIds=[name])
    reach(ec2, name, "terminated")
    assert (volume_state(ec2, volumes[0]), volume_state(ec2, volumes[1])) == ("available", "")
    assert (
        ec2.describe_network_interfaces(Filters=[{"Name": "network-interface-id", "Values": [interface]}])[
            "NetworkInterfaces"
        ]
        == []
    )
    ec2.delete_volume(VolumeId=volumes[0])


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown image": ({"ImageId": "ami-00000000000000000"}, "InvalidAMIID.NotFound"),
    "malformed image": ({"ImageId": "debian"}, "InvalidAMIID.Malformed"),
    "unknown type": ({"InstanceType": "t3.enormous"}, "InvalidParameterValue"),
    "type of another architecture": ({"InstanceType": "t4g.micro"}, "InvalidParameterValue"),
    "unknown key": ({"KeyName": "nobody's"}, "InvalidKeyPair.NotFound"),
    "unknown group": ({"SecurityGroupIds": ["sg-00000000000000000"]}, "InvalidGroup.NotFound"),
    "unknown subnet": ({"SubnetId": "subnet-00000000000000000"}, "InvalidSubnetID.NotFound"),
    "unknown zone": ({"Placement": {"AvailabilityZone": "eu-central-1z"}}, "InvalidParameterValue"),
    "unknown profile": ({"IamInstanceProfile": {"Name": "nobody"}}, "InvalidParameterValue"),
    "bad user data": ({"MinCount": 2, "MaxCount": 1}, "InvalidParameterValue"),
    "small root": ({"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 1}}]}, "InvalidBlock"),
    "bad device": ({"BlockDeviceMappings": [{"DeviceName": "banana", "Ebs": {"VolumeSize": 1}}]}, "InvalidBlock"),
    "dry run": ({"DryRun": True}, "DryRunOperation"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_run_instances_refuses(ec2: Any, image: str, what: str) -> None:
    changes, code = WRONG[what]
    asked = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1} | changes
    before = len(ec2.describe_instances()["Reservations"])
    assert refusal(ec2.run_instances, **asked)[0].startswith(code)
    assert len(ec2.describe_instances()["Reservations"]) == before


def test_boot_mode_and_type(ec2: Any, snapshot: str, launch: Callable[..., str]) -> None:
    """EC2 user guide, "Boot modes": uefi needs a type with UEFI, uefi-preferred takes what there is."""
    uefi, preferred = (make_image(ec2, snapshot, BootMode=mode) for mode in ("uefi", "uefi-preferred"))
    asked = {"ImageId": uefi, "InstanceType": "t2.micro", "MinCount": 1, "MaxCount": 1}
    assert refusal(ec2.run_instances, **asked)[0] == "InvalidParameterCombination"
    for kind, mode in (("t2.micro", "legacy-bios"), ("t3.micro", "uefi")):
        shown_mode = shown(ec2, launch(ImageId=preferred, InstanceType=kind))["CurrentInstanceBootMode"]
        assert shown_mode == mode
    arm = make_image(ec2, snapshot, Architecture="arm64", BootMode="uefi")
    found = refusal(ec2.run_instances, **(asked | {"ImageId": arm, "InstanceType": "t4g.micro"}))
    assert found[0] == "Unsupported"
    assert "there are no arm64 machines on the shelf" in found[2]


def test_zone_and_subnet(ec2: Any, launch: Callable[..., str]) -> None:
    subnets = {one["AvailabilityZone"]: one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]}
    name = launch(SubnetId=subnets[f"{REGION}b"])
    assert shown(ec2, name)["Placement"]["AvailabilityZone"] == f"{REGION}b"
    asked = {"ImageId": shown(ec2, name)["ImageId"], "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    placed = {"AvailabilityZone": f"{REGION}a"}
    found = refusal(ec2.run_instances, SubnetId=subnets[f"{REGION}b"], Placement=placed, **asked)
    assert found[0] == "InvalidParameterValue"


def test_a_disabled_image_is_not_launched(ec2: Any, snapshot: str) -> None:
    name = make_image(ec2, snapshot)
    ec2.disable_image(ImageId=name)
    asked = {"ImageId": name, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    assert refusal(ec2.run_instances, **asked)[0] == "InvalidAMIID.Unavailable"


def test_an_image_s_imds_support_decides(ec2: Any, snapshot: str, launch: Callable[..., str]) -> None:
    """EC2 user guide: an AMI with ImdsSupport v2.0 launches with HttpTokens required and hop limit 2."""
    name = launch(ImageId=make_image(ec2, snapshot, ImdsSupport="v2.0"))
    options = reach(ec2, name, "running")["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 2)
    assert " v2.0 " in console(ec2, name)


def test_a_security_group_in_use_stays(ec2: Any, launch: Callable[..., str]) -> None:
    """DeleteSecurityGroup: DependencyViolation until the instance is terminated; moto deletes it."""
    group = ec2.create_security_group(GroupName="used", Description="by an instance")["GroupId"]
    name = launch(SecurityGroupIds=[group])
    assert refusal(ec2.delete_security_group, GroupId=group)[0] == "DependencyViolation"
    ec2.terminate_instances(InstanceIds=[name])
    assert refusal(ec2.delete_security_group, GroupId=group)[0] == "DependencyViolation"
    reach(ec2, name, "terminated")
    ec2.delete_security_group(GroupId=group)


def test_unknown_instances(ec2: Any) -> None:
    for call in (ec2.terminate_instances, ec2.stop_instances, ec2.start_instances, ec2.reboot_instances):
        assert refusal(call, InstanceIds=[UNKNOWN])[0] == "InvalidInstanceID.NotFound"
        assert refusal(call, InstanceIds=["banana"])[0] == "InvalidInstanceID.Malformed"
    assert refusal(ec2.get_console_output, InstanceId=UNKNOWN)[0] == "InvalidInstanceID.NotFound"


def test_states_that_do_not_fit(ec2: Any, launch: Callable[..., str]) -> None:
    name = launch(UserData="slow")
    assert refusal(ec2.stop_instances, InstanceIds=[name])[0] == "IncorrectInstanceState"
    ec2.terminate_instances(InstanceIds=[name])
    reach(ec2, name, "terminated")
    assert refusal(ec2.start_instances, InstanceIds=[name])[0] == "IncorrectInstanceState"
    assert refusal(ec2.stop_instances, InstanceIds=[name])[0] == "IncorrectInstanceState"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_after_a_restart_instances_are_gone_and_volumes_are_there(tmp_path: Path, number: int) -> None:
    try:
        lab = service.ensure(tmp_path, module="tests.lab.fakes")
        ec2, ebs = boto_client(lab, "ec2"), boto_client(lab, "ebs")
        image = make_image(ec2, make_snapshot(ec2, ebs, {}))
        asked = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
        name = ec2.run_instances(**asked)["Instances"][0]["InstanceId"]
        root = reach(ec2, name, "running")["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
        kept = make_volume(ec2)
        ec2.attach_volume(VolumeId=kept, InstanceId=name, Device="/dev/sdf")
        ec2.create_tags(Resources=[kept], Tags=[{"Key": "later", "Value": "yes"}])
        volumes = tmp_path / "volumes"
        write_at_start(volumes / f"{kept}.raw", b"data")
        (volumes / "vol-left.raw").touch()
        os.kill(lab.pid, number)
        wait_for(lambda: service.find(tmp_path) is None)
        ec2 = boto_client(service.ensure(tmp_path, module="tests.lab.fakes"), "ec2")
        assert ec2.describe_instances()["Reservations"] == []
        volume = ec2.describe_volumes()["Volumes"]
        assert [(one["VolumeId"], one["State"], one["Tags"][0]["Key"]) for one in volume] == [
            (kept, "available", "later")
        ]
        assert [path.name for path in volumes.iterdir()] == [f"{kept}.raw"]
        assert read_start(volumes / f"{kept}.raw", 4) == b"data"
        assert volume_state(ec2, root) == ""
    finally:
        service.stop(tmp_path)


def write_at_start(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:
        file.write(data)


def read_start(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


def test_calls_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By IAM's names of the actions, and by whether knitter or somebody else called."""
    monkeypatch.setenv("LAB_CALLS", str(tmp_path / "calls"))
    try:
        lab = service.ensure(tmp_path / "lab", module="tests.lab.fakes")
        boto_client(lab, "sts").get_caller_identity()
        boto_client(lab, "ssm").describe_parameters()
        make_snapshot(boto_client(lab, "ec2"), boto_client(lab, "ebs"), {0: bytes(524288), 1: bytes(524288)})
        request = urllib.request.Request(f"{lab.endpoint}/snapshots", method="POST", data=b"{}")
        request.add_header("User-Agent", "knitter/0")
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(request)
        counted = _calls(lab, "?reset")
        assert counted["knitter"] == {"ebs:StartSnapshot": 1}
        assert counted["others"]["ebs:PutSnapshotBlock"] == 2
        assert counted["others"]["sts:GetCallerIdentity"] == counted["others"]["ssm:DescribeParameters"] == 1
        assert _calls(lab) == {"knitter": {}, "others": {}}
        lines = (tmp_path / "calls").read_text().splitlines()
        assert "knitter ebs:StartSnapshot" in lines
        assert lines.count("others ebs:PutSnapshotBlock") == 1
    finally:
        service.stop(tmp_path / "lab")


def _calls(lab: Lab, query: str = "") -> dict[str, dict[str, int]]:
    with urllib.request.urlopen(f"{lab.endpoint}/knitter/calls{query}") as answer:
        counted: dict[str, dict[str, int]] = json.loads(answer.read())
    return counted

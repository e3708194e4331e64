"""What is said to RunInstances and CreateVolume: nothing that costs, leaks or stays unless it was asked for."""

from dataclasses import replace
from typing import Any

import pytest

from knitter.aws import volumes
from knitter.aws.key_pairs import imported
from knitter.aws.launching import XEN_TYPES, Launch, launch, plan_request, usual_types
from knitter.aws.network import Subnet, check_sources
from knitter.aws.session import Cloud
from knitter.aws.source import SourceImage
from knitter.aws.start import Order, plan_start
from knitter.errors import KnitterError
from knitter.machine.keys import new_key

IMAGE = SourceImage("ami-0123456789abcdef0", "al2023", "x86_64", "/dev/xvda", "uefi-preferred", ena=True, user="me")
SUBNET = Subnet("subnet-1", "vpc-1", "eu-west-1a", "10.0.0.0/24")
WANTED = Launch(
    image=IMAGE,
    types=("t3.medium",),
    subnets=(SUBNET,),
    groups=("sg-1",),
    user_data="#cloud-config\n{}",
    token="f" * 32,
    tags={"knitter:run": "r"},
)


def plan(**changes: Any) -> dict[str, Any]:
    market = changes.pop("market", "on-demand")
    return plan_request(replace(WANTED, **changes), market, "t3.medium", SUBNET)


def test_it_ends_itself_tells_metadata_to_nobody_else_and_encrypts_its_root() -> None:
    asked = plan()
    assert asked["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert asked["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
    }
    assert asked["BlockDeviceMappings"] == [
        {"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": True, "Encrypted": True}}
    ]
    assert not {"KeyName", "IamInstanceProfile", "Placement", "InstanceMarketOptions"} & asked.keys()


def test_an_image_without_cloud_init_is_given_a_key_pair_and_no_user_data() -> None:
    asked = plan(user_data="", key_name="knitter-1", tokens=False)
    assert asked["KeyName"] == "knitter-1"
    assert "UserData" not in asked
    assert asked["MetadataOptions"]["HttpTokens"] == "optional"


@pytest.mark.lab
def test_a_key_pair_is_there_only_while_its_instance_is_started(cloud: Cloud) -> None:
    public, made = new_key("rsa").public, list[str]()
    with imported(cloud, public, name="knitter-1", tags={"knitter:run": "r"}, made=made.append) as name:
        (found,) = cloud.ec2.describe_key_pairs(KeyNames=[name])["KeyPairs"]
        assert (found["KeyPairId"], found["KeyType"]) == (made[0], "rsa")
        assert found["Tags"] == [{"Key": "knitter:run", "Value": "r"}]
    assert made[0] not in [one["KeyPairId"] for one in cloud.ec2.describe_key_pairs()["KeyPairs"]]


def test_everything_that_comes_with_it_is_tagged_at_creation() -> None:
    kinds = [one["ResourceType"] for one in plan()["TagSpecifications"]]
    assert kinds == ["instance", "volume", "network-interface"]
    assert "spot-instances-request" in [one["ResourceType"] for one in plan(market="spot")["TagSpecifications"]]


def test_a_spot_instance_is_asked_for_once() -> None:
    assert plan(market="spot")["InstanceMarketOptions"] == {
        "MarketType": "spot",
        "SpotOptions": {"SpotInstanceType": "one-time"},
    }


def test_each_place_has_a_token_of_its_own_and_keeps_it() -> None:
    tokens = {plan()["ClientToken"], plan(market="spot")["ClientToken"], plan(token="e" * 32)["ClientToken"]}
    assert len(tokens) == 3
    assert plan()["ClientToken"] == plan()["ClientToken"]
    assert all(len(token) <= 64 for token in tokens)


@pytest.mark.parametrize(
    ("interface", "asks"),
    [
        ("public_ip", {"AssociatePublicIpAddress": True}),
        ("dns", {"AssociatePublicIpAddress": True}),
        ("private_ip", {"AssociatePublicIpAddress": False}),
        ("ipv6", {"Ipv6AddressCount": 1}),
    ],
)
def test_it_has_the_address_at_which_it_is_reached_and_no_other(interface: str, asks: dict[str, Any]) -> None:
    [nic] = plan(interface=interface)["NetworkInterfaces"]
    addresses = {"AssociatePublicIpAddress", "Ipv6AddressCount"}
    assert {name: value for name, value in nic.items() if name in addresses} == asks


def test_profile_and_tenancy_are_given_if_wanted() -> None:
    assert plan(profile="writer")["IamInstanceProfile"] == {"Name": "writer"}
    arn = "arn:aws:iam::123456789012:instance-profile/writer"
    assert plan(profile=arn)["IamInstanceProfile"] == {"Arn": arn}
    assert plan(tenancy="dedicated")["Placement"] == {"Tenancy": "dedicated"}


def test_an_image_without_ena_is_started_where_it_is_not_needed() -> None:
    assert usual_types(IMAGE)[0] == "t3.medium"
    assert usual_types(replace(IMAGE, ena=False)) == XEN_TYPES


@pytest.mark.lab
def test_types_that_need_ena_are_refused_with_what_to_do(cloud: Cloud) -> None:
    old = replace(WANTED, image=replace(IMAGE, ena=False), types=("t3.medium", "m5.large"))
    with pytest.raises(KnitterError, match="starts on none of the instance types") as caught:
        launch(cloud, old)
    assert "no ENA, which" in caught.value.details
    assert "surrogate_types in .doit.cfg, such as t2.medium" in caught.value.hint


ORDER = volumes.VolumeOrder(
    size=8,
    zone="eu-west-1a",
    type="gp3",
    iops=0,
    throughput=0,
    encrypted=False,
    kms_key="",
    token="t" * 32,
    tags={"knitter:key": "k"},
)


def test_a_volume_has_what_its_type_has_unless_more_is_wanted() -> None:
    assert not {"Iops", "Throughput", "Encrypted", "KmsKeyId"} & volumes.plan_request(ORDER).keys()
    more = volumes.plan_request(replace(ORDER, iops=6000, throughput=500, encrypted=True, kms_key="alias/k"))
    assert (more["Iops"], more["Throughput"], more["Encrypted"], more["KmsKeyId"]) == (6000, 500, True, "alias/k")


def test_a_snapshot_is_encrypted_only_if_wanted(tmp_path: Any) -> None:
    order = Order("0" * 64, tmp_path, [], 1 << 30, "d", {})  # type: ignore[arg-type]
    assert not {"Encrypted", "KmsKeyArn"} & plan_start(order, 0).keys()
    assert plan_start(replace(order, encrypted=True), 0)["Encrypted"] is True
    assert plan_start(replace(order, encrypted=True, kms_key="arn:k"), 0)["KmsKeyArn"] == "arn:k"


@pytest.mark.parametrize("sources", [("0.0.0.0/0",), ("::/0",), ("0.0.0.0/1", "128.0.0.0/1")])
def test_the_world_is_let_in_only_by_those_who_say_so(sources: tuple[str, ...]) -> None:
    with pytest.raises(KnitterError, match="admits everybody") as caught:
        check_sources(sources, allow_world=False)
    assert "allow_world = yes" in caught.value.hint
    check_sources(sources, allow_world=True)


def test_what_is_no_block_is_named() -> None:
    with pytest.raises(KnitterError, match="/33' is no CIDR block"):
        check_sources(("192.0.2.0/24", "192.0.2.7/33"), allow_world=True)

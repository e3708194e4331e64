"""What preflight says of settings, without asking anybody."""

from typing import Any

import pytest

from knitter.aws.preflight import Plan, architecture_of, check_settings, examine, require
from knitter.aws.session import Cloud
from knitter.errors import KnitterError
from knitter.settings import Settings

ROADS = ("direct", "surrogate")


@pytest.mark.parametrize(
    ("values", "about", "says"),
    [
        ({"surrogate_sources": "0.0.0.0/0"}, "surrogate_sources", "everybody"),
        ({"surrogate_sources": "::/0"}, "surrogate_sources", "everybody"),
        ({"surrogate_sources": "0.0.0.0/1, 128.0.0.0/1"}, "surrogate_sources", "everybody"),
        ({"surrogate_sources": "192.0.2.300/32"}, "surrogate_sources", "CIDR"),
        ({"surrogate_types": "t3.small t4g.small"}, "surrogate_types", "t4g.small is arm64"),
        ({"surrogate_types": "small"}, "surrogate_types", "t3.small"),
        ({"surrogate_subnets": "sg-0123456789abcdef0"}, "surrogate_subnets", "subnet-"),
        ({"surrogate_security_groups": "default"}, "surrogate_security_groups", "sg-"),
        ({"volume_type": "gp2", "volume_iops": "4000"}, "volume_iops", "takes none"),
        ({"volume_type": "io2"}, "volume_iops", "from 100 to 256000"),
        ({"volume_iops": "2000"}, "volume_iops", "from 3000"),
        ({"volume_type": "gp2", "volume_throughput": "200"}, "volume_throughput", "takes none"),
        ({"volume_throughput": "100"}, "volume_throughput", "from 125"),
        ({"volume_throughput": "1000"}, "volume_throughput", "need 4000 IOPS"),
    ],
)
def test_a_setting_that_cannot_work(values: dict[str, Any], about: str, says: str) -> None:
    (found,) = check_settings(Settings.model_validate(values), ROADS)
    assert (found.state, found.about) == ("problem", about)
    assert says in found.line


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"surrogate_sources": "0.0.0.0/0", "allow_world": "yes"},
        {"surrogate_sources": "192.0.2.7/24 2001:db8::/32"},
        {"surrogate_types": "t4g.small c7gn.large a1.medium"},
        {"surrogate_types": "t3.small g4dn.xlarge g6e.xlarge"},
        {"volume_type": "io2", "volume_iops": "100"},
        {"volume_iops": "4000", "volume_throughput": "1000"},
        {"ssh_proxy_command": "aws ssm start-session --target {instance_id} --region {region} -p {port}"},
    ],
)
def test_settings_that_are_fine(values: dict[str, Any]) -> None:
    assert check_settings(Settings.model_validate(values), ROADS) == []


@pytest.mark.parametrize(
    "values",
    [
        {"kms_key": "alias/images"},
        {"ssh_proxy_command": "aws ssm {instance}"},
        {"surrogate_sources": "192.0.2.7/32", "surrogate_security_groups": "sg-0123456789abcdef0"},
    ],
)
def test_a_setting_that_is_of_no_use_is_a_warning(values: dict[str, Any]) -> None:
    found = check_settings(Settings.model_validate(values), ROADS)
    assert [one.state for one in found] == ["warning"]


def test_the_direct_road_does_not_care_for_the_surrogate() -> None:
    assert check_settings(Settings(surrogate_sources=("0.0.0.0/0",)), ("direct",)) == []


@pytest.mark.parametrize(
    ("name", "architecture"),
    [("m7g.large", "arm64"), ("c6gn.large", "arm64"), ("im4gn.large", "arm64"), ("is4gen.large", "arm64"),
     ("a1.metal", "arm64"), ("g5g.xlarge", "arm64"), ("g5.xlarge", "x86_64"), ("m5.large", "x86_64"),
     ("u-6tb1.metal", "x86_64")],
)  # fmt: skip
def test_the_architecture_of_a_type_by_its_name(name: str, architecture: str) -> None:
    assert architecture_of(name) == architecture


def test_all_problems_are_told_at_once_and_nobody_is_asked() -> None:
    def connect() -> Cloud:
        raise AssertionError("asked, though the settings cannot work")

    settings = Settings(surrogate_sources=("0.0.0.0/0",), surrogate_types=("small",), volume_iops=1)
    findings = examine(connect, Plan(settings, ROADS))
    with pytest.raises(KnitterError, match="3 problems") as caught:
        require(findings)
    for name in ("surrogate_sources", "surrogate_types", "volume_iops"):
        assert name in caught.value.details


def test_warnings_are_no_problem() -> None:
    require(check_settings(Settings(kms_key="alias/images"), ROADS))

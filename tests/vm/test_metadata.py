"""What the metadata service answers."""

import json
from http import HTTPStatus

import pytest

from knitter.vm.metadata import Answer, Imds, Instance, Service, find, plan_tree

KEY = "ssh-ed25519 AAAAC3 knitter"
MAC = "02:16:3e:a1:b2:c3"
TTL = "x-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "x-aws-ec2-metadata-token"


def instance(imds: Imds = "v2.0", user_data: bytes = b"#cloud-config\n") -> Instance:
    return Instance(user_data=user_data, public_key=KEY, imds=imds)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("", "dynamic/\nmeta-data/\nuser-data"),
        ("user-data", "#cloud-config\n"),
        ("meta-data/instance-id", "i-0123456789abcdef0"),
        ("meta-data/ami-id", "ami-0123456789abcdef0"),
        ("meta-data/instance-type", "t3.micro"),
        ("meta-data/hostname", "ip-169-254-169-15.ec2.internal"),
        ("meta-data/local-ipv4", "169.254.169.15"),
        ("meta-data/mac", MAC),
        ("meta-data/placement/", "availability-zone\nregion"),
        ("meta-data/placement/availability-zone", "us-east-1a"),
        ("meta-data/placement/region", "us-east-1"),
        ("meta-data/public-keys", "0=knitter"),
        ("meta-data/public-keys/", "0=knitter"),
        ("meta-data/public-keys/0/", "openssh-key"),
        ("meta-data/public-keys/0/openssh-key", KEY),
        ("meta-data/block-device-mapping/", "ami\nroot"),
        ("meta-data/block-device-mapping/ami", "/dev/xvda"),
        ("meta-data/network/interfaces/macs/", f"{MAC}/"),
        (f"meta-data/network/interfaces/macs/{MAC}/device-number", "0"),
        (f"meta-data/network/interfaces/macs/{MAC}/subnet-ipv4-cidr-block", "169.254.169.0/24"),
        ("meta-data/services/domain", "amazonaws.com"),
        ("dynamic/instance-identity/", "document"),
        ("meta-data/iam/info", None),
        ("meta-data/tags/instance", None),
        ("meta-data/instance-id/more", None),
        ("meta-data/spot/instance-action", None),
    ],
)
def test_the_tree(path: str, text: str | None) -> None:
    assert find(plan_tree(instance()), path) == text


def test_the_top_of_meta_data_lists_folders_with_a_slash() -> None:
    listed = (find(plan_tree(instance()), "meta-data/") or "").split("\n")
    assert {"instance-id", "placement/", "public-keys/", "network/"} <= set(listed)


def test_without_user_data_there_is_none() -> None:
    assert find(plan_tree(instance(user_data=b"")), "user-data") is None


def test_user_data_may_be_any_bytes() -> None:
    data = bytes(range(256))
    service = Service(instance("v1.0", data))
    assert service.answer("GET", "/latest/user-data", {}).body == data


def token(service: Service, ttl: str = "60") -> Answer:
    return service.answer("PUT", "/latest/api/token", {TTL: ttl})


def test_a_token_opens_what_v2_keeps_shut() -> None:
    service = Service(instance())
    path = "/latest/meta-data/instance-id"
    assert service.answer("GET", path, {}).status == HTTPStatus.UNAUTHORIZED
    given = token(service)
    assert given.headers["X-Aws-Ec2-Metadata-Token-Ttl-Seconds"] == "60"
    assert service.answer("GET", path, {TOKEN: given.body.decode()}).body == b"i-0123456789abcdef0"
    assert [(asked.status, asked.with_token) for asked in service.asked] == [(401, False), (200, False), (200, True)]


def test_v1_answers_without_a_token_but_not_to_a_wrong_one() -> None:
    service = Service(instance("v1.0"))
    path = "/2009-04-04/meta-data/instance-id"
    assert service.answer("GET", path, {}).status == HTTPStatus.OK
    assert service.answer("GET", path, {TOKEN: "guessed"}).status == HTTPStatus.UNAUTHORIZED


def test_a_token_ends() -> None:
    clock = Clock()
    service = Service(instance(), now=clock)
    headers = {TOKEN: token(service, "60").body.decode()}
    clock.now = 59
    assert service.answer("GET", "/", headers).status == HTTPStatus.OK
    clock.now = 60
    assert service.answer("GET", "/", headers).status == HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize("ttl", ["", "0", "21601", "-1", "1.5", "ten", "²"])
def test_a_token_of_no_sensible_life_is_refused(ttl: str) -> None:
    assert token(Service(instance()), ttl).status == HTTPStatus.BAD_REQUEST


def test_a_proxy_gets_no_token() -> None:
    answer = Service(instance()).answer("PUT", "/latest/api/token", {TTL: "60", "x-forwarded-for": "192.0.2.1"})
    assert answer.status == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/latest", 200),
        ("GET", "/latest/meta-data", 200),
        ("HEAD", "/latest/meta-data/", 200),
        ("GET", "/2021-03-23/dynamic/instance-identity/document", 200),
        ("GET", "/1066-10-14/meta-data/", 404),
        ("GET", "/latest/nothing", 404),
        ("POST", "/latest/meta-data/", 405),
        ("PUT", "/latest/meta-data/", 405),
        ("GET", "/latest/meta-data/mac?x=y", 200),
    ],
)
def test_routes(method: str, path: str, status: int) -> None:
    assert Service(instance("v1.0")).answer(method, path, {}).status == status


def test_versions_are_listed() -> None:
    assert b"latest" in Service(instance("v1.0")).answer("GET", "/", {}).body.split(b"\n")


def test_what_an_instance_is_told_of_itself() -> None:
    told = Instance(
        user_data=b"",
        public_key="",
        instance_type="m5.large",
        availability_zone="eu-central-1b",
        region="eu-central-1",
        account="111122223333",
        life_cycle="spot",
        tags=(("Name", "a guest"),),
    )
    tree = plan_tree(told)
    expected = {
        "meta-data/instance-type": "m5.large",
        "meta-data/placement/availability-zone": "eu-central-1b",
        "meta-data/instance-life-cycle": "spot",
        "meta-data/tags/instance": "Name",
        "meta-data/tags/instance/Name": "a guest",
        "meta-data/public-keys": None,
    }
    assert {path: find(tree, path) for path in expected} == expected
    document = json.loads(find(tree, "dynamic/instance-identity/document") or "")
    assert (document["accountId"], document["instanceType"]) == ("111122223333", "m5.large")
    assert find(plan_tree(instance()), "meta-data/tags") is None


def test_a_service_that_is_off_answers_nobody() -> None:
    service = Service(instance("disabled"))
    assert token(service).status == HTTPStatus.FORBIDDEN
    assert service.answer("GET", "/latest/meta-data/", {}).status == HTTPStatus.FORBIDDEN

"""Connections, and what is said when there is none."""

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from knitter.aws import inventory
from knitter.aws.explain import HINTS, explained, refusal
from knitter.aws.preflight.reach import identify, reach_blocks
from knitter.aws.session import Cloud
from knitter.aws.signer import Credentials
from knitter.errors import CloudError


def _client_error(code: str, message: str = "No.") -> ClientError:
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"RequestId": "request-7"}}
    return ClientError(response, "RegisterImage")  # type: ignore[arg-type]


@pytest.mark.parametrize("code", HINTS)
def test_each_known_code_says_what_to_do(code: str) -> None:
    with pytest.raises(CloudError) as caught, explained("registering"):
        raise _client_error(code)
    assert caught.value.code == code
    assert caught.value.brief == "registering: No"
    assert caught.value.hint
    assert "request-7" in caught.value.details


def test_an_encoded_refusal_says_how_to_decode_it() -> None:
    message = "You are not authorized. Encoded authorization failure message: abc123"
    told = refusal("registering", "UnauthorizedOperation", message)
    assert told.brief == "registering: You are not authorized"
    assert "abc123" in told.details
    assert "decode-authorization-message" in told.hint


def test_a_skewed_clock_is_recognised() -> None:
    told = refusal("asking", "SignatureDoesNotMatch", "Signature expired: 20261123T000000Z is now earlier than ...")
    assert "clock" in told.hint


def test_other_exceptions_pass() -> None:
    with pytest.raises(OSError, match="No space left"), explained("noting"):
        Path("/dev/full").write_text("x")
    with pytest.raises(ZeroDivisionError), explained("counting"):
        _ = 1 / 0


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment without any credentials; the folder that is its HOME."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


@pytest.mark.usefixtures("bare")
def test_no_credentials() -> None:
    with pytest.raises(CloudError, match="no AWS credentials") as caught:
        identify(Cloud("eu-west-1", "eu-west-1"))
    assert "aws configure" in caught.value.hint


@pytest.mark.usefixtures("bare")
def test_unknown_profile() -> None:
    with pytest.raises(CloudError, match="profile") as caught:
        Cloud("eu-west-1", "eu-west-1", profile="nobody").credentials()
    assert ".doit.cfg" in caught.value.hint


def test_credentials_of_a_profile(bare: Path) -> None:
    (bare / "credentials").write_text(
        "[there]\naws_access_key_id = A\naws_secret_access_key = B\naws_session_token = C\n"
    )
    cloud = Cloud("eu-west-1", "eu-west-1", profile="there")
    assert cloud.credentials() == Credentials("A", "B", "C")
    assert cloud.endpoint_url("ebs") == "https://ebs.eu-west-1.amazonaws.com"
    assert cloud.endpoint_url("ec2") == "https://ec2.eu-west-1.amazonaws.com"


@pytest.mark.lab
def test_credentials_are_asked_for_each_time_and_refreshed(bare: Path) -> None:
    """A credential process whose credentials expire at once is run again."""
    until = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    source = bare / "source.py"
    source.write_text(
        "import json, pathlib\n"
        f"path = pathlib.Path({str(bare / 'count')!r})\n"
        "count = int(path.read_text()) + 1 if path.exists() else 1\n"
        "path.write_text(str(count))\n"
        f"print(json.dumps(dict(Version=1, AccessKeyId=f'A{{count}}', SecretAccessKey='B', Expiration={until!r})))\n"
    )
    (bare / "config").write_text(f"[default]\ncredential_process = {sys.executable} {source}\n")
    cloud = Cloud("eu-west-1", "eu-west-1")
    first, second = cloud.credentials(), cloud.credentials()
    assert first.access_key != second.access_key


def test_memory_of_answers_ends_with_forget() -> None:
    cloud = Cloud("lab", "us-east-1")
    answers = iter(range(10))
    assert [cloud.remembered("a", lambda: next(answers)) for _ in range(3)] == [0, 0, 0]
    assert cloud.remembered("b", lambda: next(answers)) == 1
    cloud.forget()
    assert cloud.remembered("a", lambda: next(answers)) == 2


@pytest.fixture
def nowhere() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.lab
def test_endpoint_down(nowhere: str) -> None:
    cloud = Cloud("lab", "us-east-1", endpoint=nowhere, keys=("a", "b"))
    for ask in (lambda: inventory.images(cloud), lambda: inventory.snapshots(cloud)):
        with pytest.raises(CloudError, match="does not answer") as caught:
            ask()
        assert nowhere in caught.value.details
        assert "endpoint" in caught.value.hint


@pytest.mark.lab
def test_the_lab_knows_us_and_has_the_direct_apis(cloud: Cloud) -> None:
    assert len(identify(cloud)) == 12
    reach_blocks(cloud)


@pytest.mark.lab
def test_refused_credentials(endpoint: str) -> None:
    """EC2 says AuthFailure, the EBS direct APIs UnrecognizedClientException, STS InvalidClientTokenId."""
    stranger = Cloud("lab", "us-east-1", endpoint=endpoint, keys=("AKIAIOSFODNN7EXAMPLE", "wrong"))
    with pytest.raises(CloudError, match="asking AWS who we are") as caught:
        identify(stranger)
    assert caught.value.code == "InvalidClientTokenId"
    assert "access key" in caught.value.hint
    with pytest.raises(CloudError) as caught:
        inventory.images(stranger)
    assert caught.value.code == "AuthFailure"
    assert "access key" in caught.value.hint


LOOK = """
import sys
from knitter.aws import inventory
from knitter.aws.session import Cloud
endpoint, *keys = sys.argv[1:]
cloud = Cloud("lab", "eu-central-1", endpoint=endpoint, keys=tuple(keys))
inventory.images(cloud), inventory.snapshots(cloud)
assert "botocore" not in sys.modules
"""


@pytest.mark.lab
def test_looking_what_exists_loads_no_boto3(cloud: Cloud) -> None:
    """A run with nothing to do ends within a second; boto3's EC2 client alone would take more than half of it."""
    argv = [sys.executable, "-c", LOOK, cloud.endpoint, *(cloud.keys or ())]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

"""A private lab for the tests of this folder: started once, stopped at the end; nothing survives."""

import base64
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from knitter.lab import service
from knitter.lab.service import Lab
from knitter.lab.signature import ACCESS_KEY, SECRET_KEY

REGION = "eu-central-1"
SIZE = 524288


@pytest.fixture(scope="session")
def lab_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="session")
def lab(lab_directory: Path) -> Iterator[Lab]:
    try:
        yield service.ensure(lab_directory, module="tests.lab.fakes")
    finally:
        service.stop(lab_directory)


def boto_client(
    lab: Lab, name: str, *, region: str = REGION, key: str = ACCESS_KEY, secret: str = SECRET_KEY, attempts: int = 1
) -> Any:
    """A client that tries so often and leaves the checks of parameters to the lab."""
    return boto3.client(
        name,
        region_name=region,
        endpoint_url=lab.endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}, parameter_validation=False),
    )


@pytest.fixture(scope="session")
def ec2(lab: Lab) -> Any:
    return boto_client(lab, "ec2")


@pytest.fixture(scope="session")
def ebs(lab: Lab) -> Any:
    return boto_client(lab, "ebs")


def signed_headers(lab: Lab, method: str, path: str, body: bytes, headers: dict[str, str]) -> dict[str, str]:
    """Headers of a good request to EBS direct."""
    request = AWSRequest(method=method, url=lab.endpoint + path, data=body, headers=headers)
    SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "ebs", REGION).add_auth(request)
    return dict(request.headers.items())


def checksum(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def put(ebs: Any, snapshot: str, index: int, data: bytes, **changes: Any) -> None:
    arguments = {"DataLength": SIZE, "Checksum": checksum(data), "ChecksumAlgorithm": "SHA256"}
    ebs.put_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockData=data, **(arguments | changes))


def wait_for(check: Callable[[], bool], *, limit: float = 10) -> None:
    deadline = time.monotonic() + limit
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def make_snapshot(ec2: Any, ebs: Any, blocks: dict[int, bytes], *, size: int = 1, **changes: Any) -> str:
    """A completed snapshot of these blocks."""
    name: str = ebs.start_snapshot(VolumeSize=size, **changes)["SnapshotId"]
    for index, data in blocks.items():
        put(ebs, name, index, data)
    ebs.complete_snapshot(SnapshotId=name, ChangedBlocksCount=len(blocks))
    wait_for(lambda: ec2.describe_snapshots(SnapshotIds=[name])["Snapshots"][0]["State"] == "completed")
    return name


def volume_state(ec2: Any, name: str) -> str:
    """Of a volume; "" once it is gone."""
    found = ec2.describe_volumes(Filters=[{"Name": "volume-id", "Values": [name]}])["Volumes"]
    return str(found[0]["State"]) if found else ""


def make_volume(ec2: Any, **changes: Any) -> str:
    """An available volume."""
    asked = {"Size": 1, "AvailabilityZone": f"{REGION}a"} | changes
    name: str = ec2.create_volume(**asked)["VolumeId"]
    wait_for(lambda: volume_state(ec2, name) == "available")
    return name


@pytest.fixture(scope="session")
def snapshot(ec2: Any, ebs: Any) -> str:
    """A completed snapshot of 2 GiB that no test changes."""
    return make_snapshot(ec2, ebs, {0: os.urandom(SIZE), 7: os.urandom(SIZE)}, size=2)


def refusal(call: Callable[..., Any], **arguments: Any) -> tuple[str, int, str]:
    """Code, HTTP status and message of the error that *call* must raise."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response: Any = caught.value.response
    return (
        response["Error"]["Code"],
        response["ResponseMetadata"]["HTTPStatusCode"],
        response["Error"].get("Message", response.get("Message", "")),
    )


def read_blocks(ebs: Any, snapshot: str) -> dict[int, bytes]:
    """What a reader of the snapshot sees."""
    return dict(each_block(ebs, snapshot))


def read_digests(ebs: Any, snapshot: str) -> dict[int, bytes]:
    """SHA-256 of each block that a reader of the snapshot sees: of a large one not all fit into memory."""
    return {index: hashlib.sha256(data).digest() for index, data in each_block(ebs, snapshot)}


def each_block(ebs: Any, snapshot: str) -> Iterator[tuple[int, bytes]]:
    token = None
    while True:
        page = ebs.list_snapshot_blocks(SnapshotId=snapshot, **({"NextToken": token} if token else {}))
        for block in page["Blocks"]:
            answer = ebs.get_snapshot_block(
                SnapshotId=snapshot, BlockIndex=block["BlockIndex"], BlockToken=block["BlockToken"]
            )
            yield block["BlockIndex"], answer["BlockData"].read()
        if not (token := page.get("NextToken")):
            return

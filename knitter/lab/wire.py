"""The wire form of the EBS direct APIs: requests, responses, and what each parameter may be.

Limits: the API model of EBS direct (ebs 2019-11-02), shapes StartSnapshotRequest, PutSnapshotBlockRequest and others.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from knitter.lab.blocks import SIZE, Buffer
from knitter.lab.errors import ApiError

_JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Request:
    """One request whose signature is good."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Buffer
    digest: bytes
    """SHA-256 of the body."""
    account: str
    region: str


@dataclass(frozen=True)
class Response:
    """What goes back."""

    status: int
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=lambda: dict(_JSON))


def answered(status: int, answer: Mapping[str, Any]) -> Response:
    """*answer* as JSON, without its None values."""
    body = {name: value for name, value in answer.items() if value is not None}
    return Response(status, json.dumps(body).encode())


def refused(error: ApiError) -> Response:
    """*error* in the form of rest-json."""
    body = {"Message": error.message} | ({"Reason": error.reason} if error.reason else {})
    return Response(error.status, json.dumps(body).encode(), _JSON | {"x-amzn-ErrorType": error.code})


def invalid(message: str, reason: str = "INVALID_PARAMETER_VALUE") -> ApiError:
    """A ValidationException, 400."""
    return ApiError("ValidationException", message, reason=reason)


def number(text: str | None, name: str, *, low: int = 0, high: int = 2**63) -> int:
    """A parameter that is a whole number between *low* and *high*.  Raises ApiError."""
    if text is None or not re.fullmatch(r"\d{1,19}", text) or not low <= int(text) <= high:
        raise invalid(f"{name} is {text!r}, not a number between {low} and {high}")
    return int(text)


def start_parameters(body: Buffer) -> dict[str, Any]:
    """The parameters of StartSnapshot, checked.  Raises ApiError."""
    try:
        asked = json.loads(bytes(body) or b"{}")
    except ValueError:
        raise invalid("the body is not JSON") from None
    if not isinstance(asked, dict):
        raise invalid("the body is not a JSON object")
    _check_range(asked, "VolumeSize", 1, 65536, reason="INVALID_VOLUME_SIZE")
    _check_range(asked, "Timeout", 10, 4320, default=60)
    _check_text(asked, "Description", 255)
    _check_text(asked, "ClientToken", 255)
    _check_tags(asked.get("Tags", []))
    _check_encryption(asked)
    return asked


def _check_range(
    asked: dict[str, Any], name: str, low: int, high: int, *, default: int | None = None, reason: str = ""
) -> None:
    value = asked.get(name, default)
    if not isinstance(value, int) or not low <= value <= high:
        raise invalid(f"{name} is {value!r}, not between {low} and {high}", reason or "INVALID_PARAMETER_VALUE")


def _check_text(asked: dict[str, Any], name: str, limit: int) -> None:
    value = asked.get(name)
    if value is not None and not (isinstance(value, str) and len(value) <= limit):
        raise invalid(f"{name} is longer than {limit} characters")


def _check_tags(tags: Any) -> None:
    """At most 50, no key twice, none of AWS's own; keys up to 127, values up to 255 characters."""
    keys = [str(tag.get("Key", "")) for tag in tags]
    if len(keys) > 50 or len(set(keys)) < len(keys):
        raise invalid("there are more than 50 tags, or a key is there twice", "INVALID_TAG")
    if any(not 1 <= len(key) <= 127 or key.lower().startswith("aws:") for key in keys):
        raise invalid("a tag's key is empty, longer than 127 characters, or begins with aws:", "INVALID_TAG")
    if any(len(str(tag.get("Value", ""))) > 255 for tag in tags):
        raise invalid("a tag's value is longer than 255 characters", "INVALID_TAG")


def _check_encryption(asked: dict[str, Any]) -> None:
    """StartSnapshot: Encrypted and ParentSnapshotId in one request, or a key without Encrypted, is refused."""
    if "Encrypted" in asked and asked.get("ParentSnapshotId"):
        raise invalid("Encrypted and ParentSnapshotId cannot be given together")
    if asked.get("KmsKeyArn") and not asked.get("Encrypted"):
        raise invalid("KmsKeyArn needs Encrypted")


def put_parameters(request: Request, index: str, blocks: int) -> tuple[int, bytes]:
    """Index and digest of a PutSnapshotBlock whose data is what its headers say.  Raises ApiError."""
    block = number(index, "BlockIndex", high=blocks - 1)
    length = number(request.headers.get("x-amz-data-length"), "DataLength")
    if length != SIZE or len(request.body) != SIZE:
        raise invalid(f"DataLength is {length}, the body {len(request.body)} bytes, not {SIZE}", "INVALID_BLOCK")
    _check_algorithm(request.headers)
    if request.headers.get("x-amz-checksum") != encoded(request.digest):
        raise invalid("the checksum is not that of the data", "INVALID_BLOCK")
    if "x-amz-progress" in request.headers:
        number(request.headers["x-amz-progress"], "Progress", high=100)
    return block, request.digest


def check_completion(headers: Mapping[str, str], *, count: int, digest: bytes) -> None:
    """CompleteSnapshot says how many blocks were put, and may say the SHA-256 over their digests.  Raises ApiError."""
    said = number(headers.get("x-amz-changedblockscount"), "ChangedBlocksCount")
    if said != count:
        raise invalid(f"ChangedBlocksCount is {said}, but {count} blocks were put")
    if "x-amz-checksum" not in headers:
        return
    _check_algorithm(headers)
    if headers.get("x-amz-checksum-aggregation-method") != "LINEAR":
        raise invalid("ChecksumAggregationMethod is not LINEAR")
    if headers["x-amz-checksum"] != encoded(digest):
        raise invalid("the checksum is not that of the blocks' checksums in ascending order")


def _check_algorithm(headers: Mapping[str, str]) -> None:
    if headers.get("x-amz-checksum-algorithm") != "SHA256":
        raise invalid("ChecksumAlgorithm is not SHA256")


def checksum_headers(digest: bytes) -> dict[str, str]:
    """The headers that tell a block's checksum."""
    return {"x-amz-Checksum": encoded(digest), "x-amz-Checksum-Algorithm": "SHA256"}


def encoded(digest: bytes) -> str:
    """A checksum as it travels."""
    return base64.b64encode(digest).decode()

"""PutSnapshotBlock, twice: over http.client with our own signature, and through boto3.  Neither repeats anything.

Source of the wire form: EBS direct API Reference, PutSnapshotBlock.
"""

import base64
import http.client
import json
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Literal, Protocol

from knitter.aws import wire
from knitter.aws.retry import Answer
from knitter.aws.session import READ_TIMEOUT, Cloud
from knitter.aws.signer import Scope
from knitter.units import BLOCK

Engine = Literal["http", "boto3"]
NO_ANSWER: Final = 0


class Putter(Protocol):
    """Puts blocks, one at a time.  One for each thread."""

    def put(self, index: int, data: bytearray, sha256: bytes) -> Answer:
        """Put block *index*.  Raises CloudError only for what no repetition heals, such as missing credentials."""

    def abort(self) -> None:
        """Make a `put` that is under way in another thread return soon."""

    def close(self) -> None:
        """Close the connections.  Safe to repeat; not before all threads ended."""


class HttpPutter:
    """One persistent connection."""

    def __init__(self, cloud: Cloud, snapshot: str) -> None:
        self._cloud = cloud
        self._snapshot = snapshot
        self._url = cloud.endpoint_url("ebs")
        self._host = wire.host_header(self._url)
        self._scope = Scope("ebs", cloud.region)
        self._connection = wire.connection(self._url, timeout=READ_TIMEOUT)

    def put(self, index: int, data: bytearray, sha256: bytes) -> Answer:
        """See Putter."""
        path = f"/snapshots/{self._snapshot}/blocks/{index}"
        try:
            self._connection.request("PUT", path, data, self._headers(path, sha256))
            response = self._connection.getresponse()
            return _answer(response, response.read())
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return Answer(NO_ANSWER, type(error).__name__, str(error))

    def abort(self) -> None:
        """See Putter."""
        if connected := self._connection.sock:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """See Putter."""
        self._connection.close()

    def _headers(self, path: str, sha256: bytes) -> dict[str, str]:
        headers = {
            "host": self._host,
            "x-amz-checksum": base64.b64encode(sha256).decode(),
            "x-amz-checksum-algorithm": "SHA256",
            "x-amz-data-length": str(BLOCK),
        }
        signed = self._scope.sign(self._cloud.credentials(), "PUT", path, headers)
        return signed | {"content-type": "application/octet-stream", "user-agent": wire.USER_AGENT}


class Boto3Putter:
    """boto3's client, shared by all threads; slower, but at home with every kind of credentials and endpoint."""

    def __init__(self, client: Any, snapshot: str) -> None:
        self._client = client
        self._snapshot = snapshot

    def put(self, index: int, data: bytearray, sha256: bytes) -> Answer:
        """See Putter."""
        from botocore import exceptions  # noqa: PLC0415 slow to import

        try:
            self._client.put_snapshot_block(
                SnapshotId=self._snapshot,
                BlockIndex=index,
                BlockData=data,
                DataLength=BLOCK,
                Checksum=base64.b64encode(sha256).decode(),
                ChecksumAlgorithm="SHA256",
            )
        except exceptions.ClientError as error:
            return _client_answer(dict(error.response))
        except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
            return Answer(NO_ANSWER, type(error).__name__, str(error))
        return Answer(201)

    def abort(self) -> None:
        """Nothing: botocore's connections cannot be reached; the request ends by its own timeout."""

    def close(self) -> None:
        """See Putter."""
        self._client.close()


def putters(engine: Engine, cloud: Cloud, snapshot: str, *, threads: int) -> Callable[[], Putter]:
    """What makes a Putter for each of *threads* threads."""
    if engine == "http":
        cloud.endpoint_url("ebs")  # here, once, not in every thread
        return lambda: HttpPutter(cloud, snapshot)
    client = cloud.blocks_client(threads)
    return lambda: Boto3Putter(client, snapshot)


def _answer(response: http.client.HTTPResponse, body: bytes) -> Answer:
    """rest-json: the code is in a header or the body, perhaps with a namespace or a URL around it."""
    request = response.headers.get("x-amzn-RequestId", "")
    if response.status < 300:
        return Answer(response.status, request=request)
    told = _json(body)
    code = response.headers.get("x-amzn-ErrorType") or told.get("__type") or told.get("code") or ""
    message = told.get("message") or told.get("Message") or body[:200].decode(errors="replace")
    bare = str(code).split(":", maxsplit=1)[0].rpartition("#")[2]
    return Answer(response.status, bare, str(message), str(told.get("Reason", "")), request)


def _json(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _client_answer(response: dict[str, Any]) -> Answer:
    error, meta = response.get("Error", {}), response.get("ResponseMetadata", {})
    reason = str(response.get("Reason", ""))
    return Answer(
        meta.get("HTTPStatusCode", 500),
        error.get("Code", ""),
        error.get("Message", ""),
        reason,
        meta.get("RequestId", ""),
    )

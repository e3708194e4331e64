"""The EBS direct APIs, stricter than moto, which keeps blocks in memory and checks nothing.

Rules: API reference of EBS direct and the EBS user guide, "Use EBS direct APIs to access the contents of a snapshot".
"""

import re
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

from knitter.lab import wire
from knitter.lab.blocks import SIZE
from knitter.lab.errors import ApiError
from knitter.lab.ledger import GIB, Ledger
from knitter.lab.records import Snapshot, new_id, now
from knitter.lab.tokens import LIFE, Tokens
from knitter.lab.wire import Request, Response, invalid

PENDING_LIMIT: Final = 100


class Direct:
    """The six operations."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._tokens = Tokens()
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., Response]]] = [
            ("PUT", re.compile(r"/snapshots/([^/]+)/blocks/([^/]+)"), self._put),
            ("GET", re.compile(r"/snapshots/([^/]+)/blocks/([^/]+)"), self._get),
            ("GET", re.compile(r"/snapshots/([^/]+)/blocks"), self._list),
            ("GET", re.compile(r"/snapshots/([^/]+)/changedblocks"), self._list_changed),
            ("POST", re.compile(r"/snapshots/completion/([^/]+)"), self._complete),
            ("POST", re.compile(r"/snapshots"), self._start),
        ]

    def answer(self, request: Request) -> Response:
        """The response to *request*; errors of the API are responses too."""
        try:
            for method, pattern, operation in self._routes:
                if method == request.method and (match := pattern.fullmatch(request.path)):
                    return operation(request, *match.groups())
            raise ApiError("UnknownOperationException", f"no such operation: {request.method}", status=404)
        except ApiError as error:
            return wire.refused(error)
        except OSError as error:  # a full disk, most likely
            return wire.refused(ApiError("InternalServerException", f"the lab could not store it: {error}", status=500))

    def _start(self, request: Request) -> Response:
        asked = wire.start_parameters(request.body)
        with self._ledger.guard:
            snapshot = self._repeated(request, asked) or self._new(request, asked)
            answer = {
                "SnapshotId": snapshot.id,
                "OwnerId": snapshot.account,
                "Status": snapshot.state,
                "StartTime": snapshot.started.timestamp(),
                "VolumeSize": snapshot.volume_size,
                "BlockSize": SIZE,
                "Description": snapshot.description or None,
                "ParentSnapshotId": snapshot.parent or None,
                "KmsKeyArn": snapshot.kms_key_id,
                "Tags": [{"Key": key, "Value": value} for key, value in snapshot.tags.items()] or None,
                "SseType": "sse-kms" if snapshot.encrypted else "sse-ebs",
            }
        return wire.answered(201, answer)

    def _repeated(self, request: Request, asked: dict[str, Any]) -> Snapshot | None:
        """The snapshot that this ClientToken made before."""
        token = asked.get("ClientToken")
        for snapshot in self._ledger.snapshots[request.account, request.region].values():
            if token and snapshot.token == token:
                if snapshot.request != asked:
                    raise ApiError("ConflictException", f"{token} was used with other parameters", status=409)
                return self._ledger.refresh(snapshot)
        return None

    def _new(self, request: Request, asked: dict[str, Any]) -> Snapshot:
        parent = self._parent(request, asked)
        self._check_quota(request)
        snapshot = Snapshot(
            id=new_id("snap"),
            account=request.account,
            region=request.region,
            volume_size=asked["VolumeSize"],
            description=asked.get("Description", ""),
            started=now(),
            timeout=asked.get("Timeout", 60),
            parent=parent.id if parent else "",
            token=asked.get("ClientToken", ""),
            request=asked,
            tags={tag["Key"]: tag.get("Value", "") for tag in asked.get("Tags", [])},
            encrypted=asked.get("Encrypted", False) or bool(parent and parent.encrypted),
            kms_key_id=asked.get("KmsKeyArn") or (parent.kms_key_id if parent else None),
        )
        try:
            self._ledger.blocks.create(snapshot.id, size=snapshot.volume_size * GIB, parent=snapshot.parent)
        except OSError:
            self._ledger.blocks.delete(snapshot.id)
            raise
        self._ledger.keep(snapshot)
        return snapshot

    def _check_quota(self, request: Request) -> None:
        """100 pending snapshots of one account (service quota L-94D7AB7D)."""
        ours = self._ledger.snapshots[request.account, request.region].values()
        direct = (one for one in ours if not one.of_volume)
        if sum(self._ledger.refresh(one).state == "pending" for one in direct) >= PENDING_LIMIT:
            message = f"You have reached the limit of {PENDING_LIMIT} pending snapshots"
            raise ApiError("ConcurrentLimitExceededException", message)

    def _parent(self, request: Request, asked: dict[str, Any]) -> Snapshot | None:
        if not (name := asked.get("ParentSnapshotId")):
            return None
        parent = self._completed(request, name)
        if asked["VolumeSize"] < parent.volume_size:
            raise invalid(f"VolumeSize is less than the parent's {parent.volume_size}", "INVALID_VOLUME_SIZE")
        return parent

    def _put(self, request: Request, name: str, index: str) -> Response:
        with self._ledger.guard:
            snapshot = self._pending(request, name)
        block, digest = wire.put_parameters(request, index, snapshot.volume_size * GIB // SIZE)
        self._ledger.blocks.put(snapshot.id, block, request.body)
        with self._ledger.guard:
            self._pending(request, name)  # again: it may have been completed or deleted meanwhile
            self._ledger.blocks.record(snapshot.id, block, digest)
        return Response(201, headers=wire.checksum_headers(digest) | {"Content-Type": "application/json"})

    def _complete(self, request: Request, name: str) -> Response:
        with self._ledger.guard:
            snapshot = self._pending(request, name)
            count, digest = self._ledger.blocks.puts(snapshot.id)
            wire.check_completion(request.headers, count=count, digest=digest)
            self._ledger.finish(snapshot)
        return wire.answered(202, {"Status": "pending"})

    def _get(self, request: Request, name: str, index: str) -> Response:
        with self._ledger.guard:
            snapshot = self._completed(request, name)
            block = wire.number(index, "BlockIndex")
            if self._tokens.open(request.query.get("blockToken", ""), "block", snapshot.id) != block:
                raise invalid("the block token is not of this block, or has expired", "INVALID_BLOCK_TOKEN")
            digest = self._ledger.blocks.digest(snapshot.id, block)
            data = self._ledger.blocks.read(snapshot.id, block)
        about = {"Content-Type": "application/octet-stream", "x-amz-Data-Length": str(SIZE)}
        return Response(200, data, wire.checksum_headers(digest) | about)

    def _list(self, request: Request, name: str) -> Response:
        with self._ledger.guard:
            snapshot = self._completed(request, name)
            start, limit = self._page(request, snapshot.id)
            found = list(islice(self._ledger.blocks.digests(snapshot.id, start), limit + 1))
        listed = [
            {"BlockIndex": index, "BlockToken": self._tokens.make("block", snapshot.id, index)}
            for index, _ in found[:limit]
        ]
        return self._paged({"Blocks": listed}, snapshot, [index for index, _ in found], limit)

    def _list_changed(self, request: Request, name: str) -> Response:
        with self._ledger.guard:
            second = self._completed(request, name)
            before = request.query.get("firstSnapshotId")
            first = self._completed(request, before) if before else None
            start, limit = self._page(request, second.id)
            found = list(islice(self._changes(first, second, start), limit + 1))
        listed = [
            {"BlockIndex": index}
            | ({"FirstBlockToken": self._tokens.make("block", first.id, index)} if first and old else {})
            | ({"SecondBlockToken": self._tokens.make("block", second.id, index)} if new else {})
            for index, old, new in found[:limit]
        ]
        return self._paged({"ChangedBlocks": listed}, second, [index for index, _, _ in found], limit)

    def _changes(self, first: Snapshot | None, second: Snapshot, start: int) -> Iterator[tuple[int, bytes, bytes]]:
        blocks = self._ledger.blocks
        old = dict(blocks.digests(first.id, start)) if first else {}
        new = dict(blocks.digests(second.id, start))
        for index in sorted(old.keys() | new.keys()):
            if old.get(index) != new.get(index):
                yield index, old.get(index, b""), new.get(index, b"")

    def _paged(self, answer: dict[str, Any], snapshot: Snapshot, indexes: list[int], limit: int) -> Response:
        after = indexes[limit] if len(indexes) > limit else None
        about = {
            "ExpiryTime": time.time() + LIFE["block"],
            "VolumeSize": snapshot.volume_size,
            "BlockSize": SIZE,
            "NextToken": None if after is None else self._tokens.make("page", snapshot.id, after),
        }
        return wire.answered(200, answer | about)

    def _page(self, request: Request, snapshot: str) -> tuple[int, int]:
        """First block and number of blocks of the page that is asked for."""
        limit = wire.number(request.query.get("maxResults", "10000"), "MaxResults", low=100, high=10000)
        if token := request.query.get("pageToken"):
            start = self._tokens.open(token, "page", snapshot)
            if start is None:
                raise invalid("the page token is not of this list, or has expired", "INVALID_PAGE_TOKEN")
            return start, limit
        return wire.number(request.query.get("startingBlockIndex", "0"), "StartingBlockIndex"), limit

    def _find(self, request: Request, name: str) -> Snapshot:
        if not re.fullmatch(r"snap-[0-9a-f]{1,59}", name):
            raise invalid(f"{name!r} is not a snapshot id", "INVALID_SNAPSHOT_ID")
        snapshot = self._ledger.snapshots[request.account, request.region].get(name)
        if snapshot is None:
            message = f"The snapshot '{name}' does not exist."
            raise ApiError("ResourceNotFoundException", message, status=404, reason="SNAPSHOT_NOT_FOUND")
        return self._ledger.refresh(snapshot)

    def _pending(self, request: Request, name: str) -> Snapshot:
        snapshot = self._find(request, name)
        if snapshot.state != "pending" or snapshot.completed is not None or snapshot.of_volume:
            raise invalid(
                f"{name} takes no blocks: it is complete, has failed, or is of a volume", "INVALID_SNAPSHOT_ID"
            )
        return snapshot

    def _completed(self, request: Request, name: str) -> Snapshot:
        snapshot = self._find(request, name)
        if snapshot.state != "completed":
            raise invalid(f"{name} is {snapshot.state}, not completed", "INVALID_SNAPSHOT_ID")
        return snapshot

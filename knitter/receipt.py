"""Receipts: the small JSON file each stage leaves, and the hashes in it.

A receipt is doit's target of one stage and file_dep of the next, so it holds no times: the same work leaves the same
bytes.
"""

import hashlib
import json
import os
import threading
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from knitter.errors import KnitterError


class Receipt(BaseModel):
    """What a stage made (digest, outputs, facts) and from what (key, inputs)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    key: str
    """sha256 of the stage, its revision and its inputs: what should be."""
    digest: str
    """sha256 of what was made: what is.  The next stage's input."""
    inputs: dict[str, str]
    """Name of each input, such as `disk.size` or `rootfs`, and its digest: tells why a stage runs."""
    outputs: dict[str, int] = {}
    """File beside the receipt -> its bytes."""
    facts: dict[str, JsonValue] = {}
    """What the next stages and the user want to know: ids, sizes, versions."""


def digest_of(value: JsonValue) -> str:
    """sha256 (hex) of a JSON value, the same for equal values."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def key_of(stage: str, revision: int, inputs: dict[str, str]) -> str:
    """The key of a stage's work."""
    return digest_of([stage, revision, dict(inputs)])


def read(path: Path) -> Receipt | None:
    """The receipt at *path*; None if there is none or it is not whole."""
    try:
        return Receipt.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def write(path: Path, receipt: Receipt) -> None:
    """Write *receipt* so that a crash leaves the old file or the new one.  The caller holds the recipe's lock."""
    text = json.dumps(receipt.model_dump(mode="json"), indent=2, sort_keys=True)
    # One writer, one temporary name: what a kill leaves of it, the next run replaces.
    write_atomically(path, (text + "\n").encode(), writer="new")


def check_digest(path: Path, found: str, *, made: str, stage: str) -> None:
    """Raise KnitterError unless *found*, the digest of the file at *path*, is the one that *stage* *made*."""
    if found != made:
        raise KnitterError(
            f"{path} is not what the stage {stage} made", hint="remove it and run again: it is made anew"
        )


def move(new: Path, place: Path) -> None:
    """Put the file *new* in its *place*, on the same file system.  What lay there is freed while others work.

    Freeing half a gigabyte takes ext4 0.4 s, so the old file is held open and closed by a thread.  And it is unlinked
    first: a rename over it makes ext4 write all of *new* at once (ext4(5), auto_da_alloc), and the next fsync waits.
    """
    with suppress(FileNotFoundError):
        old = os.open(place, os.O_RDONLY)
        place.unlink()
        threading.Thread(target=os.close, args=(old,)).start()
    new.replace(place)


def write_atomically(path: Path, data: bytes, *, writer: str = "") -> None:
    """Replace *path* by *data*: whole or not at all, even if the machine stops.

    writer: tells those apart who may write *path* at the same time; this process if empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{writer or os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)

"""The second look: reads the packed tree, finds what no image may hold, and says what it is."""

import re
import tarfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from knitter.distro.scrub import find_all
from knitter.errors import KnitterError
from knitter.files import sha256_of

_KERNEL: Final = re.compile(r"\./boot/vmlinuz-(.+)")


def prove(packed: Path, packaged: Iterable[str]) -> tuple[str, dict[str, JsonValue]]:
    """sha256 (hex) of *packed*, and what it holds.  Raises KnitterError naming everything no image may hold.

    packaged: the absolute paths that came in packages.
    """
    with ThreadPoolExecutor(1) as pool, tarfile.open(packed, "r:") as archive:
        digest = pool.submit(sha256_of, packed)
        if findings := find_all(archive, packaged):
            raise KnitterError(
                f"the root tree holds {len(findings)} thing{'s'[: len(findings) > 1]} that no image may hold",
                details="\n".join(map(str, findings)),
                hint="look for them in the recipe's files/ and scripts; knitter removes only what its own work leaves",
            )
        members = archive.getmembers()
        kernels = sorted(match[1] for member in members if (match := _KERNEL.fullmatch(member.name)))
        facts: dict[str, JsonValue] = {
            "files": len(members),
            "bytes": sum(member.size for member in members),
            "kernels": list(kernels),
        }
        return digest.result(), facts

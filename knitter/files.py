"""What every room asks of files: what one holds, in one word, and whether there is no room for it."""

import errno
import hashlib
from pathlib import Path
from typing import Final

_PIECE: Final = 16 * 1024 * 1024
"""Bytes.  In large pieces it seldom asks for the interpreter's lock: who works beside it is twice as fast."""


def is_full(error: OSError) -> bool:
    """Whether *error* says that there is no room left, or none for a file so large."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def sha256_of(path: Path) -> str:
    """Of a file's content, hexadecimal.  Raises OSError."""
    hashed = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        piece = memoryview(bytearray(min(_PIECE, path.stat().st_size + 1)))
        while size := file.readinto(piece):
            hashed.update(piece[:size])
    return hashed.hexdigest()

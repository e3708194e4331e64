"""Public keys of a recipe, from its files or the network into the cache: verified by fingerprint, then by hash.

file or url --> the one key with the recipe's fingerprint, armored --> cache, by its sha256 --> lock
"""

import hashlib
import tempfile
from pathlib import Path
from typing import Final

from knitter.cache import Cache
from knitter.distro.redhat import keys
from knitter.errors import KnitterError
from knitter.fetch import NotOnMirrorError
from knitter.lock import Key
from knitter.recipe.model import Recipe
from knitter.recipe.redhat import SigningKey
from knitter.resolve.place import Place
from knitter.resolve.small import read
from knitter.units import MIB

_LIMIT: Final = MIB
"""Bytes of a key file: the largest distribution's has a tenth of it."""


def bring(recipe: Recipe, wanted: tuple[SigningKey, ...], place: Place) -> tuple[Key, ...]:
    """Leave the keys *wanted* in the cache.  Raises KnitterError."""
    return tuple(_keep(place.cache, one.fingerprint, _select(recipe, one, place)) for one in wanted)


def ensure(recipe: Recipe, wanted: tuple[SigningKey, ...], locked: tuple[Key, ...], place: Place) -> None:
    """Leave the keys *locked* in the cache, from where the recipe says.  Raises NotOnMirrorError if one has changed."""
    lost = {key.fingerprint: key for key in locked if not place.cache.find(key.sha256, key.size)}
    for found in bring(recipe, tuple(one for one in wanted if one.fingerprint in lost), place):
        if found != lost[found.fingerprint]:
            raise NotOnMirrorError(
                f"the key {keys.spaced(found.fingerprint)} is there, but not as packages.lock has it",
                details=f"sha256 {found.sha256}; the lock: {lost[found.fingerprint].sha256}",
            )


def texts(locked: tuple[Key, ...], cache: Cache) -> list[str]:
    """The keys *locked*, armored.  Raises KnitterError."""
    return [cache.verified(key.sha256).read_text() for key in locked]


def _select(recipe: Recipe, one: SigningKey, place: Place) -> str:
    if one.file:
        path = recipe.path_of(one.file)
        return keys.select(_content(path), one.fingerprint, str(path))
    return keys.select(read(one.url, place, limit=_LIMIT), one.fingerprint, one.url)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KnitterError(f"the key {path} cannot be read", details=str(error), hint="see packages.keys") from None


def _keep(cache: Cache, fingerprint: str, text: str) -> Key:
    data = text.encode()
    key = Key(fingerprint=fingerprint, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    cache.open()
    with cache.guard(), tempfile.NamedTemporaryFile(dir=cache.directory, delete=False) as file:
        file.write(data)
    with cache.guard():
        cache.put(Path(file.name), key.sha256)
    return key

"""Where packages are resolved."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from knitter.cache import Cache


@dataclass(frozen=True, slots=True)
class Place:
    """What of a site a resolver may use."""

    directory: Path
    """Of its private root; made, and the caller's to remove."""
    cache: Cache
    mirrors: Mapping[str, str]
    """As the settings have them."""
    downloads: int
    """At once."""
    log: Path

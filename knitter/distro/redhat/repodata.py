"""A repository's metadata: lists of mirrors, and repomd.xml, which vouches for the rest.  Pure.

mirrorlist or metalink -> base URLs -> repodata/repomd.xml -> indices: primary, filelists, group, modules
"""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from knitter import markup

REPOMD: Final = "repodata/repomd.xml"
SIGNATURE: Final = f"{REPOMD}.asc"

_NEEDED: Final = ("primary", "filelists")
_WANTED: Final = (*_NEEDED, "modules")
_GROUPS: Final = ("group_gz", "group_xz", "group")
"""The same list of groups, the smallest first."""


@dataclass(frozen=True, slots=True)
class Index:
    """One file of the metadata."""

    kind: str
    href: str
    """Seen from the repository's base."""
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """A name of its own that ends as *href* does: readers tell by that how it is compressed."""
        ending = re.search(r"(?:\.[a-z0-9]+)+$", self.href.rpartition("/")[2])
        return f"repodata/{self.kind}{ending[0] if ending else ''}"


@dataclass(frozen=True, slots=True)
class Repomd:
    """What of repomd.xml is needed to resolve packages."""

    indices: tuple[Index, ...]
    date: datetime
    """The newest of its timestamps."""


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Where a repository is, the best place first."""

    bases: tuple[str, ...]
    sha256: frozenset[str] = frozenset()
    """What repomd.xml may have, hexadecimal; empty if nothing is said of it."""


def parse_mirrorlist(data: bytes) -> Mirrors:
    """The URLs of a list of mirrors, one per line.  Raises ValueError."""
    lines = [line.strip() for line in data.decode(errors="replace").splitlines()]
    return _mirrors([line for line in lines if not line.startswith("#")])


def parse_metalink(data: bytes) -> Mirrors:
    """The URLs and hashes of a Metalink 3.0 of repomd.xml, with the older hashes that it allows.  Raises ValueError."""
    root = markup.parse(data)
    file = next((one for one in root.iter() if _tag(one) == "file" and one.get("name") == "repomd.xml"), None)
    if file is None:
        raise ValueError("it does not speak of repomd.xml")
    urls = [one for one in file.iter() if _tag(one) == "url"]
    urls.sort(key=lambda one: -int(one.get("preference", "0")))
    hashes = [one.text or "" for one in file.iter() if _tag(one) == "hash" and one.get("type") == "sha256"]
    return _mirrors([(one.text or "").strip().removesuffix(REPOMD) for one in urls], hashes)


def parse_repomd(data: bytes) -> Repomd:
    """repomd.xml as a value.  Raises ValueError."""
    found = {one.get("type", ""): one for one in markup.parse(data) if _tag(one) == "data"}
    if missing := [kind for kind in _NEEDED if kind not in found]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    group = next((kind for kind in _GROUPS if kind in found), "")
    stamps = [float(one.text or 0) for node in found.values() for one in node if _tag(one) == "timestamp"]
    if not stamps:
        raise ValueError("it has no timestamp")
    indices = tuple(_index(kind, found[kind]) for kind in (*_WANTED, group) if kind in found)
    return Repomd(indices, datetime.fromtimestamp(int(max(stamps)), UTC))


def trimmed(data: bytes, indices: tuple[Index, ...]) -> bytes:
    """The repomd.xml *data* with nothing but *indices*, each where `Index.name` says."""
    root = markup.parse(data)
    places = {one.kind: one.name for one in indices}
    for node in list(root):
        if _tag(node) == "data" and node.get("type") in places:
            _child(node, "location").attrib = {"href": places[node.get("type", "")]}
        elif _tag(node) == "data":
            root.remove(node)
    for node in root.iter():
        node.tag = _tag(node)  # librepo does not know a prefix, which ElementTree would write
    return ET.tostring(root)


def _mirrors(bases: list[str], hashes: list[str] | None = None) -> Mirrors:
    usable = tuple(base.rstrip("/") for base in bases if re.match(r"(https?|file)://", base))
    if not usable:
        raise ValueError("it names no mirror with http, https or file")
    return Mirrors(usable, frozenset(text.strip().lower() for text in hashes or ()))


def _index(kind: str, node: ET.Element) -> Index:
    checksum = _child(node, "checksum")
    sha256 = (checksum.text or "").strip().lower()
    if checksum.get("type") != "sha256" or re.fullmatch(r"[0-9a-f]{64}", sha256) is None:  # it becomes a file name
        raise ValueError(f"it gives no SHA-256 of {kind}, but {checksum.get('type')}")
    return Index(kind, _child(node, "location").get("href", ""), sha256, int(_child(node, "size").text or ""))


def _child(node: ET.Element, tag: str) -> ET.Element:
    for one in node:
        if _tag(one) == tag:
            return one
    raise ValueError(f"the entry {node.get('type')} has no {tag}")


def _tag(node: ET.Element) -> str:
    """Without its namespace."""
    return node.tag.rpartition("}")[2]

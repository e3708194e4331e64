"""From a tree of unpacked packages of Debian to the files of each package of ours."""

import os
import re
import shutil
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.synthetic.debs import Deb
from tests.synthetic.shape import Shape

_LINKS: Final = re.compile(r"/(bin|lib|lib32|lib64|sbin)")
_BARE: Final = (
    "boot", "dev", "home", "media", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp", "var/cache", "var/log",
    "var/empty/sshd", "var/lib/rpm", "var/spool/cron", "var/tmp",
)  # fmt: skip
"""Directories without a file."""
_MODES: Final = {
    "/etc/gshadow": 0o000, "/etc/shadow": 0o000, "/etc/sudoers": 0o440, "/proc": 0o555, "/root": 0o550, "/sys": 0o555,
    "/tmp": 0o1777, "/var/tmp": 0o1777, "/var/empty/sshd": 0o711,
}  # fmt: skip
_PLAIN: Final = re.compile(r"/etc/(pki|rc\.d/init\.d|profile\.d|redhat-release|centos-release)")
"""Below /etc, but not configuration."""


@dataclass(slots=True)
class Slice:
    """One package of ours, but for what its spec part says."""

    name: str
    version: str = "1.0"
    requires: set[str] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)
    """Of %files."""


def cut(shape: Shape, debs: Sequence[Deb], tree: Path, made: Mapping[str, str]) -> dict[str, Slice]:
    """The packages of *shape*, whose files lie in *tree*; our own are added, and what moves is moved.

    made: path -> package of what is there besides.
    """
    slices: dict[str, Slice] = {}
    for deb in debs:
        if (name := shape.rpm_of(deb.name)) and (name not in slices or deb.name == name):
            slices[name] = Slice(name, deb.version)
    owners = {**_move(shape, debs, tree), **_own(shape, tree), **made}
    owners |= _copy(shape, owners, tree) | _bytecode(owners, tree)
    for name in {*owners.values(), *shape.stubs, *_named(shape)}:
        slices.setdefault(name, Slice(name))
    for deb in debs:
        if name := shape.rpm_of(deb.name):
            slices[name].requires |= _requirements(shape, deb, debs) - {name}
    bare = (*_BARE, *shape.bare)
    for path in bare:
        (tree / path).mkdir(parents=True, exist_ok=True)
    for name, lines in _lines(owners, bare, tree).items():
        slices[name].lines += lines
    return slices


def put(tree: Path, path: str, source: Path) -> None:
    """Lay the file or link *source* at *path* of *tree*, instead of what is there."""
    target = Path(f"{tree}{path}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)


def _move(shape: Shape, debs: Sequence[Deb], tree: Path) -> dict[str, str]:
    """Path -> package of all that comes from Debian."""
    owners = {}
    for deb in debs:
        for path in deb.files:
            owner = shape.owner_of(path, deb.name)
            target = shape.moved(path)
            if owner and target != path:
                Path(f"{tree}{target}").parent.mkdir(parents=True, exist_ok=True)
                Path(f"{tree}{path}").rename(f"{tree}{target}")
            if owner:
                owners[target] = owner
    return owners


def _own(shape: Shape, tree: Path) -> dict[str, str]:
    """The same of our own files, which are laid into *tree*."""
    owners = {}
    for parts in shape.parts():
        for files in sorted(parts.glob("*/files")):
            for source in sorted(files.rglob("*")):
                if source.is_symlink() or source.is_file():
                    path = f"/{source.relative_to(files)}"
                    put(tree, path, source)
                    owners[path] = files.parent.name
    return owners


def _copy(shape: Shape, owners: dict[str, str], tree: Path) -> dict[str, str]:
    copies = {source: target for source, target in shape.copies.items() if source in owners}
    for source, target in copies.items():
        put(tree, target, Path(f"{tree}{source}"))
    return {target: owners[source] for source, target in copies.items()}


def _bytecode(owners: dict[str, str], tree: Path) -> dict[str, str]:
    """The same of byte code: it is of the package of its source."""
    made = {}
    for path, owner in owners.items():
        if path.endswith(".py"):
            source = Path(f"{tree}{path}")
            for one in source.parent.glob(f"__pycache__/{source.stem}.*.pyc"):
                made[f"/{one.relative_to(tree)}"] = owner
    return made


def _named(shape: Shape) -> Iterator[str]:
    """Packages that have a spec part."""
    for parts in shape.parts():
        yield from (path.parent.name for path in parts.glob("*/spec"))


def _requirements(shape: Shape, deb: Deb, debs: Sequence[Deb]) -> set[str]:
    """Of each of its dependencies the first alternative that there is."""
    there = {one.name: one.name for one in debs}
    there |= {name: one.name for one in debs for name in one.provides if name not in there}
    found = set()
    for alternatives in deb.depends:
        first = next((there[one] for one in alternatives if one in there), None)
        if first is not None and (name := shape.rpm_of(first)):
            found.add(name)
    return found


def _lines(owners: dict[str, str], bare: Iterable[str], tree: Path) -> dict[str, list[str]]:
    """Package -> its lines of %files.  Directories of several packages, and bare ones, are filesystem's."""
    lines, directories = defaultdict(list), defaultdict(set)
    for path, owner in owners.items():
        if Path(f"{tree}{path}").is_symlink() or Path(f"{tree}{path}").exists():
            lines[owner].append(_line(path, tree))
            for above in _above(path):
                directories[above].add(owner)
    for path in bare:
        for above in (f"/{path}", *_above(f"/{path}")):
            directories[above].add("filesystem")
    for path, several in directories.items():
        lines["filesystem" if len(several) > 1 else next(iter(several))].append(_line(path, tree))
    links = [f'"{one}"' for one in map(str, _absolute(tree)) if _LINKS.fullmatch(one)]
    lines["filesystem"] += links
    return {owner: sorted(some) for owner, some in lines.items()}


def _absolute(tree: Path) -> Iterable[Path]:
    return (Path("/") / one.name for one in tree.iterdir())


def _above(path: str) -> Iterator[str]:
    while (path := os.path.dirname(path)) != "/":  # noqa: PTH120 (a path in the tree, not of this host)
        yield path


def _line(path: str, tree: Path) -> str:
    mode = Path(f"{tree}{path}").lstat().st_mode
    prefix = f"%attr({_MODES[path]:o},root,root) " if path in _MODES else ""
    if stat.S_ISDIR(mode):
        prefix += "%dir "
    elif stat.S_ISREG(mode) and path.startswith("/etc/") and not _PLAIN.match(path):
        prefix += "%config(noreplace) "
    quoted = path.replace("%", "%%")
    return f'{prefix}"{quoted}"'

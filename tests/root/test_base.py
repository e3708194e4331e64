"""The cache of bases: found by key, proven by content, forgotten when unused."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from knitter.cache import Cache
from knitter.command import command
from knitter.distro import archive
from knitter.errors import KnitterError
from knitter.files import sha256_of
from knitter.lock import Lock, Package, Repository
from knitter.machine.scratch import scratch
from knitter.recipe.model import DebianPackages, Recipe
from knitter.root import base
from knitter.root.base import KEEP, Bases, base_key
from knitter.root.debian import Debian
from knitter.root.tree import Tree
from knitter.units import MIB

LOCK = Lock(
    family="debian",
    release="bookworm",
    architecture="x86_64",
    repositories=(
        Repository(url="http://example.org/debian", suite="bookworm", date=datetime(2026, 11, 1, tzinfo=UTC)),
    ),
    packages=(
        Package(
            name="hello",
            version="2.10-3",
            architecture="amd64",
            sha256="ab" * 32,
            size=10,
            url="http://example.org/debian/hello.deb",
        ),
    ),
)

PACKAGES = DebianPackages(release="bookworm")
FAMILY = Debian(Recipe(name="hello", directory=Path("/"), packages=PACKAGES), PACKAGES)
KEY = base_key(FAMILY.ingredients(), LOCK)


def kept(bases: Bases, key: str, content: str = "a base") -> Path:
    partial = bases.partial(key)
    partial.write_text(content)
    bases.put(key, partial)
    found = bases.find(key)
    assert found is not None
    return found


def test_a_base_is_found_by_its_key_alone(tmp_path: Path) -> None:
    bases = Bases(tmp_path / "roots")
    assert bases.find("k1") is None
    path = kept(bases, "k1")
    assert path.stem == f"k1-{sha256_of(path)}"
    assert bases.find("k") is None
    assert bases.find("k2") is None
    assert [one.name for one in (tmp_path / "roots").iterdir()] == [path.name]


def test_the_key_is_of_the_whole_lock() -> None:
    newer = LOCK.repositories[0].model_copy(update={"date": datetime(2026, 11, 2, tzinfo=UTC)})
    other = LOCK.packages[0].model_copy(update={"sha256": "cd" * 32})
    changed = [LOCK.model_copy(update={"repositories": (newer,)}), LOCK.model_copy(update={"packages": (other,)})]
    assert len({base_key("1", one) for one in (LOCK, *changed)} | {base_key("2", LOCK)}) == 4
    assert base_key("1", LOCK) == base_key("1", LOCK.model_copy())


def test_what_is_unused_is_forgotten(tmp_path: Path) -> None:
    bases, now = Bases(tmp_path), 2_000_000_000.0
    young, old = kept(bases, "young"), kept(bases, "old")
    writing, left = bases.partial("writing"), tmp_path / ".left.4194305"  # no process has so high a number
    writing.write_text("half")
    left.write_text("half")
    os.utime(young, (now, now - KEEP + 60))
    os.utime(old, (now, now - KEEP - 60))
    bases.prune(now=now)
    assert set(tmp_path.iterdir()) == {young, writing}


@pytest.mark.lab
def test_a_base_is_used_as_it_was_kept_and_a_damaged_one_is_removed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "hello").write_text("hello\n")
    bases = Bases(tmp_path / "cache/roots")
    with scratch("memory", tmp_path, need=16 * MIB) as (machine, place):
        tree = Tree(machine, place, LOCK.epoch, tmp_path / "log")
        tree.run("packing", archive.pack(source, bases.partial(KEY), epoch=LOCK.epoch))
        bases.put(KEY, bases.partial(KEY))
        path = bases.find(KEY)
        assert path is not None
        base.ensure(tree, FAMILY, LOCK, Cache(tmp_path / "cache"), room=MIB)
        assert tree.run("reading", command("cat", tree.path / "hello")) == "hello"
        tree.run("removing", command("rm", "-r", tree.path))
        path.write_bytes(path.read_bytes()[:600])
        with pytest.raises(KnitterError, match="copying the packages"):  # made anew, from a cache without packages
            base.ensure(tree, FAMILY, LOCK, Cache(tmp_path / "cache"), room=MIB)
        assert not path.exists()


@pytest.mark.lab
def test_a_package_that_is_not_what_the_lock_says_is_refused_and_removed(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    path = cache.path(LOCK.packages[0].sha256)
    path.parent.mkdir(parents=True)
    build = tmp_path / "hello/DEBIAN"
    build.mkdir(parents=True)
    (build / "control").write_text(
        "Package: hello\nVersion: 2.10-3\nArchitecture: amd64\nMaintainer: a <a@example.org>\n"
    )
    with scratch("memory", tmp_path, need=16 * MIB) as (machine, place):
        tree = Tree(machine, place, LOCK.epoch, tmp_path / "log")
        tree.run("building", command("dpkg-deb", "--build", tmp_path / "hello", path))
        with pytest.raises(KnitterError, match="not what the lock says") as caught:
            base.ensure(tree, FAMILY, LOCK, cache, room=MIB)
    assert str(path) in caught.value.details
    assert not path.exists()

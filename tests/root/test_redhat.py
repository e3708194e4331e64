"""Roots from RPMs, on tiny signed packages whose scriptlets are Lua, so that they need no shell in the tree."""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from knitter.cache import Cache
from knitter.command import command
from knitter.distro import archive
from knitter.distro.redhat import install
from knitter.errors import KnitterError
from knitter.lock import Key, Lock, Package, Repository
from knitter.machine.scratch import scratch
from knitter.recipe.model import Recipe, RedhatPackages
from knitter.root.redhat import Redhat
from knitter.root.tree import Tree
from knitter.units import MIB
from tests.root.tiny import make_tree, package_tree
from tests.rpm_archive import RpmArchive

pytestmark = pytest.mark.lab
EPOCH = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class Site:
    """Packages, and a cache that a lock's files are in."""

    archive: RpmArchive
    root: Path

    @property
    def cache(self) -> Cache:
        return Cache(self.root / "cache")

    def lock(self, *names: str) -> Lock:
        """Of the packages *names*."""
        key = self._keep(self.archive.key)
        return Lock(
            family="redhat",
            release="9",
            architecture="x86_64",
            repositories=(Repository(url=self.archive.url, suite="base", date=EPOCH),),
            packages=tuple(self._package(name) for name in sorted(names)),
            keys=(Key(fingerprint=self.archive.fingerprint, sha256=key, size=self.archive.key.stat().st_size),),
        )

    def _package(self, name: str) -> Package:
        (path,) = self.archive.packages(name)
        return Package(
            name=name,
            version="1.0-1",
            architecture=path.name.rsplit(".", 2)[1],
            sha256=self._keep(path),
            size=path.stat().st_size,
            url=f"{self.archive.url}/Packages/{path.name}",
        )

    def _keep(self, path: Path) -> str:
        content = path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        kept = self.cache.path(sha256)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(content)
        return sha256

    @contextmanager
    def tree(self) -> Iterator[Tree]:
        """An empty place for one."""
        with scratch("memory", self.root, need=100 * MIB, log=self.root / "log") as (machine, place):
            yield Tree(machine, place, int(EPOCH.timestamp()), self.root / "log")

    def bootstrap(self, tree: Tree, *names: str) -> None:
        lock = self.lock(*names)
        section = {
            "family": "redhat",
            "release": lock.release,
            "install": names,
            "repositories": ({"id": "base", "url": self.archive.url},),
            "keys": ({"file": "keys/archive", "fingerprint": self.archive.fingerprint},),
        }
        packages = RedhatPackages.model_validate(section)
        Redhat(Recipe(name="tiny", directory=self.root, packages=packages), packages).bootstrap(tree, lock, self.cache)

    def refusal(self, *names: str) -> KnitterError:
        with self.tree() as tree, pytest.raises(KnitterError) as caught:
            self.bootstrap(tree, *names)
        return caught.value


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RpmArchive]:
    """Made once; nothing in it is changed."""
    directory = tmp_path_factory.mktemp("pattern")
    with RpmArchive(directory / "archive") as archive:
        programs = package_tree(_image(directory / "tree"), directory / "work")
        archive.sign(programs)
        programs.rename(archive.directory / "Packages" / programs.name)
        archive.add("hello", requires=["programs"], scriptlets={"post": _HELLO})
        archive.add("bad-post", scriptlets={"post": 'error("boom")'})
        archive.add("bad-pre", scriptlets={"pre": 'error("boom")'})
        archive.add("careless", requires=["hello"], scriptlets={"post": _CARELESS})
        archive.add("daemon", requires=["programs"], scriptlets={"post": _DAEMON})
        archive.add("needy", requires=["nobody"])
        archive.add("unsigned", signed=False)
        yield archive


def _image(tree: Path) -> Path:
    """A shell, and an rpm that keeps its database where no other does, and reads none that it has not begun itself."""
    make_tree(tree, "cp", "find", "rpm", "rpmdb", "rpmkeys")
    for name in ("dev", "proc", "run", "sys", "tmp"):
        (tree / name).rmdir()
    shutil.copytree("/usr/lib/rpm", tree / "usr/lib/rpm", ignore=lambda _, names: {*names} - _CONFIG)
    (tree / "usr/real").mkdir()
    (tree / "usr/bin/rpm").rename(tree / "usr/real/rpm")
    (tree / "usr/bin/rpm").write_text(_OLD_RPM)
    (tree / "usr/bin/rpm").chmod(0o755)
    (tree / "etc/rpm").mkdir()
    (tree / "etc/rpm/macros").write_text("%_dbpath /srv/rpm\n")
    return tree


_CONFIG = {"macros", "rpmrc", *(path.name for path in Path("/usr/lib/rpm").glob("rpmpopt-*"))}
_OLD_RPM = """#!/bin/sh
for word; do case $word in --initdb) : > /etc/begun ;; --eval) begun=1 ;; esac; done
if [ -e /etc/begun ] || [ -n "${begun:-}" ]; then exec /usr/real/rpm "$@"; fi
echo "error: cannot open the database" >&2
exit 1
"""
_HELLO = """
local null = io.open("/dev/null", "w"); null:write("gone"); null:close()
local made = io.open("/etc/hello", "w"); made:write(os.getenv("HOME")); made:close()
local run = io.open("/run/hello", "w"); run:write("gone"); run:close()
"""
_CARELESS = 'local file = io.open("/usr/share/hello/content", "w"); file:write("other"); file:close()'
_DAEMON = 'rpm.execute("/bin/sh", "-c", "sleep 987655 < /dev/null > /dev/null 2>&1 &")'


@pytest.fixture
def site(tmp_path: Path, pattern: RpmArchive) -> Site:
    return Site(pattern, tmp_path)


def listing(tree: Tree) -> list[str]:
    return tree.run("listing", command("sh", "-c", 'cd "$1"; find . | sort', "sh", tree.path)).split()


def test_the_images_own_rpm_reads_what_was_installed_wherever_it_looks(site: Site) -> None:
    """Trap: Debian's rpm has its database in a home, and an old rpm reads no new one's."""
    with site.tree() as tree:
        site.bootstrap(tree, "hello", "programs")
        found = listing(tree)
        rows = tree.inside("asking", command("rpm", "-qa", "--queryformat", "%{NAME} %{INSTALLTIME}\\n"))
    assert "./srv/rpm/rpmdb.sqlite" in found
    assert not [path for path in found if ".rpmdb" in path or path.startswith(("./knitter", "./var/lib/rpm", "./root"))]
    rows_of = dict(line.split() for line in rows.splitlines())
    assert rows_of.keys() == {"gpg-pubkey", "hello", "programs"}
    assert {abs(int(seconds) - tree.epoch) < 10 for seconds in rows_of.values()} == {True}


def test_scriptlets_find_devices_and_leave_nothing_in_their_place(site: Site) -> None:
    """Trap: without /dev in the tree, what goes to /dev/null becomes a file of the image."""
    with site.tree() as tree:
        site.bootstrap(tree, "hello", "programs")
        found = listing(tree)
        assert tree.run("reading", command("cat", tree.path / "etc/hello")) == install.WORK
    assert not [path for path in found if path.startswith(("./dev/", "./run/", "./proc/", "./sys/", "./tmp/"))]


def test_nothing_of_the_hosts_rpm_or_home_comes_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    home = site.root / "home"
    home.mkdir()
    (home / ".rpmmacros").write_text("%_dbpath /elsewhere\n%_netsharedpath /usr/share\n")
    monkeypatch.setenv("HOME", str(home))
    with site.tree() as tree:
        site.bootstrap(tree, "hello", "programs")
        found = listing(tree)
    assert "./usr/share/hello/content" in found
    assert "./elsewhere" not in found


def test_a_daemon_that_a_scriptlet_starts_does_not_outlive_it(site: Site) -> None:
    with site.tree() as tree:
        site.bootstrap(tree, "daemon", "programs")
        assert subprocess.run(["pgrep", "-f", "^sleep 987655"], check=False).returncode == 1


def test_two_runs_give_the_same_bytes(site: Site) -> None:
    packed = []
    for number in range(2):
        with site.tree() as tree:
            site.bootstrap(tree, "hello", "programs")
            tree.inside("scrubbing", command("sh", "-euc", "rm -f /srv/rpm/rpmdb.sqlite-* /srv/rpm/.rpm.lock"))
            tree.run("packing", archive.pack(tree.path, site.root / f"{number}.tar", epoch=tree.epoch))
        packed.append((site.root / f"{number}.tar").read_bytes())
    assert packed[0] == packed[1]


def test_a_failing_scriptlet_fails_although_rpm_lets_it_pass(site: Site) -> None:
    refused = site.refusal("bad-post", "hello", "programs")
    assert refused.brief == "installing the packages: scriptlets failed, which rpm itself lets pass"
    assert refused.details.splitlines()[0] == "%post of bad-post"


def test_a_failing_scriptlet_that_rpm_minds_names_its_package(site: Site) -> None:
    refused = site.refusal("bad-pre", "programs")
    assert refused.brief == "installing the packages failed with exit code 2: package bad-pre"
    assert "boom" in refused.details


def test_a_missing_dependency_is_told(site: Site) -> None:
    assert "nobody is needed by needy-1.0-1.noarch" in site.refusal("needy", "programs").details


def test_what_no_known_key_signed_is_not_installed(site: Site) -> None:
    assert "unsigned-1.0-1.noarch" in site.refusal("programs", "unsigned").details


def test_a_file_that_a_scriptlet_spoils_is_named(site: Site) -> None:
    refused = site.refusal("careless", "hello", "programs")
    assert refused.brief == "1 installed file is not as the packages brought it"
    assert "/usr/share/hello/content" in refused.details


def test_a_package_that_is_not_what_the_lock_says_is_removed(site: Site) -> None:
    lock = site.lock("hello", "programs")
    damaged = site.cache.path(lock.packages[0].sha256)

    class Spoilt(Site):
        def lock(self, *names: str) -> Lock:
            damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
            return lock

    assert str(damaged) in Spoilt(site.archive, site.root).refusal("hello", "programs").details
    assert not damaged.exists()

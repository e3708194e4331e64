"""The packages stage on real dnf and rpm, and a tiny repository that is tampered with in every way it must refuse."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from knitter.errors import KnitterError
from knitter.recipe.model import RedhatPackages
from tests.rpm_archive import DATE, RpmArchive
from tests.stages.resolving import Resolving
from tests.stages.scenarios import EveryFamily

pytestmark = pytest.mark.lab

REAL = "http://vault.example.org/9/os/x86_64"


@dataclass
class Desk(Resolving):
    """A repository, and a recipe that installs `hello` from it, with the key as a file of the recipe."""

    archive: RpmArchive

    def section(self, **fields: Any) -> RedhatPackages:
        good = {
            "family": "redhat",
            "release": "9",
            "install": ["hello"],
            "repositories": [self.repository()],
            "keys": [{"file": "keys/archive", "fingerprint": self.fingerprint}],
        }
        return RedhatPackages.model_validate(good | fields, strict=False)

    def repository(self, **fields: Any) -> dict[str, Any]:
        place = {} if {"mirrorlist", "metalink"} & set(fields) else {"url": self.archive.url}
        return {"id": "base", **place, **fields}

    def trust(self, key: Path) -> None:
        self.fingerprint = self.archive.fingerprint
        path = self.recipe / "keys/archive"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(key.read_bytes())

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.locked.packages]

    def paths(self) -> list[str]:
        return [path for path, _ in self.archive.server.requests]


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RpmArchive]:
    """Made once: each test has a copy."""
    with RpmArchive(tmp_path_factory.mktemp("pattern") / "archive") as archive:
        archive.add("hello", version="1:1.0-2.el9", requires=["world >= 1"], recommends=["nice"])
        archive.add("world", files={"/usr/share/world": os.urandom(300_000)})
        archive.add("nice")
        archive.publish()
        yield archive


@pytest.fixture
def desk(tmp_path: Path, pattern: RpmArchive) -> Iterator[Desk]:
    with RpmArchive(tmp_path / "archive", like=pattern) as archive:
        made = Desk(tmp_path, archive)
        made.trust(archive.key)
        yield made


class TestRedhat(EveryFamily):
    newer = "2.0-1"


def test_resolves_fetches_and_verifies(desk: Desk) -> None:
    outcome = desk.ensure()
    assert outcome.action == "made"
    found = desk.locked
    assert [(one.name, one.version, one.architecture) for one in found.packages] == [
        ("hello", "1:1.0-2.el9", "noarch"),
        ("world", "1.0-1", "noarch"),
    ]
    assert found.packages[0].url == f"{desk.archive.url}/Packages/hello-1.0-2.el9.noarch.rpm"
    assert (found.family, found.release, found.architecture) == ("redhat", "9", "x86_64")
    assert [(one.url, one.suite, one.date) for one in found.repositories] == [(desk.archive.url, "base", DATE)]
    assert [key.fingerprint for key in found.keys] == [desk.archive.fingerprint]
    assert desk.cached(found.keys[0].sha256).read_bytes() == desk.archive.key.read_bytes()
    for package in found.packages:
        assert desk.cached(package.sha256).stat().st_size == package.size
    assert {path.name for path in (desk.root / "cache").iterdir()} == {"metadata", "partial", "sha256"}


def test_old_lock_of_an_unchanged_archive_keeps_its_bytes_and_fetches_no_index(desk: Desk) -> None:
    first = desk.ensure()
    text = desk.lock.read_bytes()
    desk.age()
    desk.archive.server.requests.clear()
    second = desk.ensure()
    assert (second.action, second.receipt) == ("made", first.receipt)
    assert desk.lock.read_bytes() == text
    assert desk.paths() == ["/repodata/repomd.xml"]


def test_what_the_cache_lost_is_fetched_without_resolving(desk: Desk) -> None:
    desk.ensure()
    desk.cached(desk.locked.packages[1].sha256).unlink()
    desk.cached(desk.locked.keys[0].sha256).unlink()
    desk.archive.server.requests.clear()
    desk.ensure()
    assert desk.paths() == ["/Packages/world-1.0-1.noarch.rpm"]
    assert desk.cached(desk.locked.keys[0].sha256).is_file()


def test_weak_dependencies_and_removals(desk: Desk) -> None:
    desk.ensure(weak_dependencies=True)
    assert desk.names == ["hello", "nice", "world"]
    desk.ensure(weak_dependencies=True, remove=["nice"])
    assert desk.names == ["hello", "world"]


def test_other_architectures_never_come_in(desk: Desk) -> None:
    desk.archive.add("world", version="9.0-1", architecture="i686")
    desk.archive.publish()
    desk.ensure()
    assert [one.architecture for one in desk.locked.packages] == ["noarch", "noarch"]


# Groups --------------------------------------------------------------------------------------------------------------


def test_group_brings_its_mandatory_and_default_members(desk: Desk) -> None:
    desk.archive.add("extra")
    desk.archive.add_group("core", mandatory=["hello"], default=["nice", "nowhere"], optional=["extra"])
    desk.archive.publish()
    desk.ensure(groups=["core"], install=[])
    assert desk.names == ["hello", "nice", "world"]


def test_member_of_a_group_may_be_removed(desk: Desk) -> None:
    desk.archive.add_group("core", mandatory=["hello", "nowhere"], default=["nice"])
    desk.archive.publish()
    desk.ensure(groups=["core"], install=[], remove=["nice", "nowhere"])
    assert desk.names == ["hello", "world"]


def test_missing_mandatory_member(desk: Desk) -> None:
    desk.archive.add_group("core", mandatory=["hello", "gone", "lost"])
    desk.archive.publish()
    error = desk.refusal(groups=["core"])
    assert error.brief == "no repository has some mandatory members of core"
    assert error.details == "core: gone, lost"


def test_missing_group(desk: Desk) -> None:
    desk.archive.add_group("core", mandatory=["hello"])
    desk.archive.add_environment("minimal-environment", "core")
    desk.archive.publish()
    error = desk.refusal(groups=["cores"])
    assert (error.brief, error.hint) == ("no repository has the group cores", "did you mean 'core'?")
    assert desk.refusal(groups=["minimal-environment"]).hint == (
        'that is an environment; name the groups of it: "core"'
    )


def test_group_where_there_are_none(desk: Desk) -> None:
    assert desk.refusal(groups=["core"]).brief == "no repository has the group core"


def test_module_whose_default_stream_is_older(desk: Desk) -> None:
    old, new = (desk.archive.add("tool", version=f"{number}.0-1") for number in (1, 2))
    desk.archive.add_module("tools", "1", old, default=True)
    desk.archive.add_module("tools", "2", new)
    desk.archive.publish()
    desk.ensure(install=["tool"], module_platform="platform:el9")
    assert [one.version for one in desk.locked.packages] == ["1.0-1"]


# What cannot be solved -----------------------------------------------------------------------------------------------


def test_misspelt_package(desk: Desk) -> None:
    error = desk.refusal(install=["hello", "wurld"])
    assert (error.brief, error.hint) == ("no repository has wurld", "did you mean 'world'?")


def test_misspelt_removal(desk: Desk) -> None:
    assert desk.refusal(remove=["nicer"]).brief == "no repository has nicer"


def test_name_that_others_provide(desk: Desk) -> None:
    desk.archive.add("one", provides=["either"])
    desk.archive.publish()
    error = desk.refusal(install=["either"])
    assert error.details == "either is provided by one"
    assert error.hint == "name one of the packages that provide it"


def test_removal_of_what_is_needed(desk: Desk) -> None:
    error = desk.refusal(remove=["world"])
    assert error.brief == "packages.remove = world: others need it"
    assert "package hello-1:1.0-2.el9.noarch requires world >= 1" in error.details


def test_missing_dependency(desk: Desk) -> None:
    desk.archive.add("lonely", requires=["nobody"])
    desk.archive.publish()
    error = desk.refusal(install=["lonely"])
    assert error.brief == "the packages cannot be installed together"
    assert "nothing provides nobody needed by lonely-1.0-1.noarch" in error.details


def test_conflict(desk: Desk) -> None:
    desk.archive.add("grumpy", conflicts=["world"])
    desk.archive.publish()
    assert "grumpy-1.0-1.noarch conflicts with world" in desk.refusal(install=["hello", "grumpy"]).details


# Trust ---------------------------------------------------------------------------------------------------------------


def test_tampered_package(desk: Desk) -> None:
    """One that the index speaks otherwise of never reaches rpm."""
    desk.archive.flip(desk.archive.packages("hello")[0])
    error = desk.refusal()
    assert error.brief.startswith("hello is refused: what the mirror sent is not what")


@pytest.mark.parametrize("at", [-1, 5000])
def test_tampered_package_in_a_tampered_repository(desk: Desk, at: int) -> None:
    """The index is renewed over it, as who owns the mirror could do."""
    desk.archive.flip(desk.archive.packages("world")[0], at=at)
    desk.archive.publish()
    error = desk.refusal()
    assert error.brief.startswith("world 1.0-1 is refused: it is ")
    assert not desk.cached(_sha256(desk.archive.packages("world")[0])).exists()
    assert desk.cached(_sha256(desk.archive.packages("hello")[0])).exists()


def test_unsigned_package(desk: Desk) -> None:
    desk.archive.add("world", signed=False)
    desk.archive.publish()
    error = desk.refusal()
    assert error.brief == "world 1.0-1 is refused: it is not signed"
    assert "packages.keys" in error.hint


def test_package_signed_with_another_key(desk: Desk) -> None:
    first = desk.archive.key
    stranger = desk.archive.use_new_key("stranger")
    desk.archive.add("world")
    desk.archive.add("hello", version="1:1.0-2.el9", requires=["world"])
    desk.archive.publish()
    short = desk.archive.fingerprint[-8:]
    error = desk.refusal()
    assert f"is signed with key {short}, which packages.keys does not name, and 1 more package is bad" in error.brief
    (desk.recipe / "keys/archive").write_bytes(first.read_bytes() + stranger.read_bytes())
    assert "which packages.keys does not name" in desk.refusal().brief  # it lies in the file, and is not named
    keys = [{"file": "keys/archive", "fingerprint": one} for one in (desk.fingerprint, desk.archive.fingerprint)]
    assert desk.ensure(keys=keys).action == "made"


def test_right_key_file_with_another_fingerprint(desk: Desk) -> None:
    wanted = "0123456789ABCDEF0123456789ABCDEF01234567"
    error = desk.refusal(keys=[{"file": "keys/archive", "fingerprint": wanted}])
    assert "does not hold the key 0123 4567 89AB CDEF 0123  4567 89AB CDEF 0123 4567" in error.brief
    assert error.details == f"it holds {desk.archive.fingerprint}"
    assert desk.paths() == []


def test_key_from_a_url(desk: Desk) -> None:
    keys = [{"url": f"{desk.archive.url}/key", "fingerprint": desk.archive.fingerprint}]
    desk.ensure(keys=keys)
    desk.archive.server.requests.clear()
    assert desk.ensure(keys=keys).action == "kept"
    assert desk.paths() == []


def test_key_of_a_url_that_is_another(desk: Desk) -> None:
    keys = [{"url": f"{desk.archive.url}/key", "fingerprint": desk.archive.fingerprint}]
    desk.archive.use_new_key("thief")
    assert f"{desk.archive.url}/key does not hold the key" in desk.refusal(keys=keys).brief
    (desk.archive.directory / "key").write_bytes(b"<html>Please log in</html>")
    assert desk.refusal(keys=keys).details == "it holds no OpenPGP public key"
    (desk.archive.directory / "key").write_bytes(bytes(2_000_000))
    assert "larger than" in desk.refusal(keys=keys).brief
    (desk.archive.directory / "key").unlink()
    assert "the mirror does not have" in desk.refusal(keys=keys).brief


def test_key_that_has_expired_is_good_for_packages_but_not_for_metadata(desk: Desk) -> None:
    """As the keys of releases are whose time is over, such as EL 6; new metadata nobody should sign with one."""
    desk.trust(desk.archive.use_new_key("old", expired=True))
    for name in ("hello", "world"):
        desk.archive.sign(*desk.archive.packages(name))
    desk.archive.publish()
    assert f"{desk.archive.fingerprint[-16:]}, which has expired" in (
        desk.refusal(repositories=[desk.repository(signed_metadata=True)]).brief
    )
    assert desk.ensure().action == "made"


def test_signed_metadata(desk: Desk) -> None:
    assert desk.ensure(repositories=[desk.repository(signed_metadata=True)]).action == "made"


def test_tampered_metadata(desk: Desk) -> None:
    signed = {"repositories": [desk.repository(signed_metadata=True)]}
    repomd = desk.archive.directory / desk.archive.repomd
    repomd.write_bytes(repomd.read_bytes().replace(b"</repomd>", b"<!-- mine --></repomd>"))
    error = desk.refusal(**signed)
    assert "base has a bad signature: its repomd.xml is not what the owner of key" in error.brief
    repomd.with_name("repomd.xml.asc").unlink()
    assert "does not have" in desk.refusal(**signed).brief
    desk.archive.use_new_key("stranger")
    desk.archive.publish()
    error = desk.refusal(**signed)
    assert f"is signed with key {desk.archive.fingerprint[-16:]}, which packages.keys does not name" in error.brief
    repomd.with_name("repomd.xml.asc").write_text("<html>Please log in</html>\n")
    assert "has a repomd.xml.asc that is no signature" in desk.refusal(**signed).brief


def test_tampered_index(desk: Desk) -> None:
    desk.archive.flip(desk.archive.index)
    error = desk.refusal()
    assert error.brief == "the index primary of base is refused: what the mirror sent is not what its repomd.xml says"


def test_index_that_is_none(desk: Desk) -> None:
    (desk.archive.directory / desk.archive.repomd).write_text("<html>Please log in</html>\n")
    assert desk.refusal().brief == "the repository base cannot be used: its repomd.xml: it lacks primary, filelists"
    (desk.archive.directory / desk.archive.repomd).write_text("Please log in\n")
    assert "its repomd.xml: not XML" in desk.refusal().brief


# The network ---------------------------------------------------------------------------------------------------------


def test_unreachable_repository(desk: Desk) -> None:
    desk.archive.server.down()
    error = desk.refusal()
    assert error.brief == f"{desk.archive.url}/repodata/repomd.xml cannot be fetched"
    assert "http_proxy" in error.hint


def test_repository_that_is_not_there(desk: Desk) -> None:
    error = desk.refusal(repositories=[desk.repository(url=f"{desk.archive.url}/{{release}}/{{arch}}")])
    assert error.brief == f"the mirror does not have {desk.archive.url}/9/x86_64/repodata/repomd.xml"
    assert error.details == "HTTP 404"


def test_repository_that_dies_halfway_is_resumed(desk: Desk) -> None:
    desk.archive.server.cut |= {"/Packages/world-1.0-1.noarch.rpm": 100_000, f"/{desk.archive.index}": 100}
    desk.archive.server.status["/repodata/repomd.xml"] = [503, 502]
    assert desk.ensure().action == "made"
    assert desk.archive.downloads("world") == ["", "bytes=100000-"]
    assert (f"/{desk.archive.index}", "bytes=100-") in desk.archive.server.requests


def test_mirrors_are_used_and_not_locked(desk: Desk) -> None:
    mirrors = {"http://vault.example.org": "http://127.0.0.1:9", REAL: desk.archive.url}
    keys = [{"url": f"{REAL}/key", "fingerprint": desk.archive.fingerprint}]
    url = "http://vault.example.org/{release}/os/{arch}/"
    desk.ensure(settings={"mirrors": mirrors}, repositories=[desk.repository(url=url)], keys=keys)
    text = desk.lock.read_text()
    assert f"repository {REAL} base 2026-01-02T03:04:05Z\n" in text
    assert f" {REAL}/Packages/hello-1.0-2.el9.noarch.rpm\n" in text
    assert desk.archive.url not in text


@pytest.mark.parametrize("kind", ["mirrorlist", "metalink"])
def test_first_mirror_that_is_good_is_used(desk: Desk, kind: str) -> None:
    dead, near = "http://127.0.0.1:9/os", "http://near.example.org/os"
    sha256 = _sha256(desk.archive.directory / desk.archive.repomd)
    extra = {"sha256": sha256} if kind == "metalink" else {}
    listed = getattr(desk.archive, kind)(f"{desk.archive.url}/nothing", dead, near, **extra)
    repositories = {"repositories": [desk.repository(**{kind: listed})]}
    desk.ensure(settings={"mirrors": {near: desk.archive.url}}, **repositories)
    assert desk.locked.repositories[0].url == listed
    assert desk.locked.packages[0].url == f"{near}/Packages/hello-1.0-2.el9.noarch.rpm"
    text = desk.lock.read_bytes()
    getattr(desk.archive, kind)(desk.archive.url, **extra)
    desk.age()
    desk.ensure(**repositories)
    assert desk.lock.read_bytes() == text


def test_no_mirror_is_good(desk: Desk) -> None:
    listed = desk.archive.mirrorlist(f"{desk.archive.url}/nothing", f"{desk.archive.url}/more")
    error = desk.refusal(repositories=[desk.repository(mirrorlist=listed)])
    assert error.brief == "no mirror of base can be used"
    assert error.details.count("the mirror does not have") == 2


def test_metadata_that_is_not_the_metalinks(desk: Desk) -> None:
    listed = desk.archive.metalink(desk.archive.url, sha256="0" * 64)
    error = desk.refusal(repositories=[desk.repository(metalink=listed)])
    assert error.brief == "the repository base has a repomd.xml that is not what its Metalink says"


def test_list_that_names_no_mirror(desk: Desk) -> None:
    (desk.archive.directory / "empty").write_text("rsync://example.org/\n")
    error = desk.refusal(repositories=[desk.repository(mirrorlist=f"{desk.archive.url}/empty")])
    assert "it names no mirror" in error.brief


def test_repository_of_files_below_a_folder_with_spaces(desk: Desk) -> None:
    desk.archive.server.down()
    settings = {"build_directory": desk.root / "a place, of mine"}
    desk.ensure(settings=settings, repositories=[desk.repository(url=desk.archive.directory.as_uri())])


def test_build_directory_that_rpm_cannot_name(desk: Desk) -> None:
    with pytest.raises(KnitterError, match="a % in the path"):
        desk.ensure(settings={"build_directory": desk.root / "100%"})


def test_key_that_the_hosts_rpm_cannot_use(desk: Desk) -> None:
    """Its packets are not what a key has."""
    body = b"\x04 nonsense"
    (desk.recipe / "keys/archive").write_bytes(b"\xc6" + bytes([len(body)]) + body)
    fingerprint = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body).hexdigest()
    error = desk.refusal(keys=[{"file": "keys/archive", "fingerprint": fingerprint}])
    assert error.brief == f"this host's rpm cannot use the key {fingerprint.upper()}"


def test_two_repositories(desk: Desk, tmp_path: Path) -> None:
    with RpmArchive(tmp_path / "more") as more:
        key = {"url": f"{more.url}/key", "fingerprint": more.fingerprint}
        more.add("hello", version="1:2.0-1.el9", requires=["world"])
        more.publish(date=datetime(2026, 5, 6, tzinfo=UTC))
        keys = [{"file": "keys/archive", "fingerprint": desk.fingerprint}, key]
        desk.ensure(repositories=[desk.repository(), {"id": "updates", "url": more.url}], keys=keys)
        assert [one.suite for one in desk.locked.repositories] == ["base", "updates"]
        assert desk.locked.packages[0].url.startswith(more.url)
        assert desk.locked.epoch == int(datetime(2026, 5, 6, tzinfo=UTC).timestamp())


# Pins ----------------------------------------------------------------------------------------------------------------


def test_pinned_package_is_verified_too(desk: Desk) -> None:
    path = desk.pin()
    desk.archive.add("world", signed=False)
    (rpm,) = desk.archive.packages("world")
    old = desk.locked.packages[1]
    new = old.model_copy(update={"sha256": _sha256(rpm), "size": rpm.stat().st_size})
    path.write_text(desk.locked.model_copy(update={"packages": (desk.locked.packages[0], new)}).text())
    with pytest.raises(KnitterError, match="it is not signed"):
        desk.ensure()


def test_pin_with_another_key(desk: Desk) -> None:
    path = desk.pin()
    desk.archive.use_new_key("other")
    keys = [{"url": f"{desk.archive.url}/key", "fingerprint": desk.archive.fingerprint}]
    with pytest.raises(KnitterError, match=f"{path} has other keys than the recipe"):
        desk.ensure(keys=keys)


def test_pinned_key_that_is_published_anew(desk: Desk) -> None:
    keys = {"keys": [{"url": f"{desk.archive.url}/key", "fingerprint": desk.archive.fingerprint}]}
    desk.ensure(**keys)
    (desk.recipe / "packages.lock").write_bytes(desk.lock.read_bytes())
    desk.cached(desk.locked.keys[0].sha256).unlink()
    desk.archive.extend_key()
    with pytest.raises(KnitterError, match=r"is there, but not as packages.lock has it, which .* pins"):
        desk.ensure(**keys)


def test_hosts_configuration_does_not_count(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    home = desk.root / "home"
    home.mkdir()
    (home / ".rpmmacros").write_text("%_pkgverify_level none\n%_dbpath /nowhere\n")
    (home / ".rpmrc").write_text("include: /nowhere\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GNUPGHOME", str(home))
    assert desk.ensure().action == "made"
    assert sorted(path.name for path in home.iterdir()) == [".rpmmacros", ".rpmrc"]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

"""The packages stage, on a real apt and a tiny archive that is tampered with in every way it must refuse."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from knitter import lock
from knitter.distro import apt
from knitter.errors import KnitterError
from knitter.machine.local import Local
from knitter.recipe.model import DebianPackages
from tests.debian_archive import DebianArchive
from tests.stages.resolving import Resolving
from tests.stages.scenarios import EveryFamily

pytestmark = pytest.mark.lab


@dataclass
class Desk(Resolving):
    """An archive, and a recipe that installs `hello` from it."""

    archive: DebianArchive

    def section(self, **fields: Any) -> DebianPackages:
        repository = {"url": self.archive.url, "suite": self.archive.suite}
        good = {"release": "tiny", "install": ["hello"], "repositories": [repository], "keyring": "keys/archive.gpg"}
        return DebianPackages.model_validate(good | fields, strict=False)

    def trust(self, keyring: Path) -> None:
        path = self.recipe / "keys/archive.gpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(keyring.read_bytes())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with DebianArchive(tmp_path / "archive") as archive:
        archive.add("base", Essential="yes", version="1:2.0", architecture="amd64")
        archive.add("must", Priority="required")
        archive.add("apt")
        archive.add("hello", Depends="world (>= 1)", Recommends="nice")
        archive.add("world", files={"usr/share/world": os.urandom(300_000)})
        archive.add("nice")
        archive.publish(date=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
        made = Desk(tmp_path, archive)
        made.trust(archive.keyring)
        yield made


def names(desk: Desk) -> list[str]:
    return [package.name for package in desk.locked.packages]


class TestDebian(EveryFamily):
    newer = "2.0"


def test_resolves_and_fetches(desk: Desk) -> None:
    outcome = desk.ensure()
    assert outcome.action == "made"
    found = desk.locked
    assert [(one.name, one.version, one.architecture) for one in found.packages] == [
        ("apt", "1.0", "all"),
        ("base", "1:2.0", "amd64"),
        ("hello", "1.0", "all"),
        ("must", "1.0", "all"),
        ("world", "1.0", "all"),
    ]
    assert found.repositories[0].date == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert outcome.receipt.facts["packages"] == 5
    for package in found.packages:
        path = desk.cached(package.sha256)
        assert path.stat().st_size == package.size
    assert not list((desk.root / "cache/partial").iterdir())


def test_old_lock_of_an_unchanged_archive_keeps_its_bytes(desk: Desk) -> None:
    first = desk.ensure()
    text = desk.lock.read_bytes()
    desk.archive.publish(date=datetime(2026, 3, 4, tzinfo=UTC))
    desk.age()
    second = desk.ensure()
    assert second.action == "made"
    assert desk.lock.read_bytes() == text
    assert second.receipt == first.receipt
    assert desk.ensure().action == "kept"


def test_what_the_cache_lost_is_fetched_without_resolving(desk: Desk) -> None:
    desk.ensure()
    written = desk.lock.stat().st_mtime_ns
    lost = desk.locked.packages[-1]
    desk.cached(lost.sha256).unlink()
    desk.archive.server.requests.clear()
    desk.ensure()
    assert [path for path, _ in desk.archive.server.requests] == [f"/pool/{lost.name}_1.0_all.deb"]
    assert desk.lock.stat().st_mtime_ns == written


def test_what_cache_and_mirror_lost_is_resolved_anew(desk: Desk) -> None:
    desk.ensure()
    for one in desk.locked.packages:
        desk.cached(one.sha256).unlink()
    desk.archive.remove("world")
    desk.archive.add("world", version="2.0")
    desk.archive.publish()
    desk.ensure()
    assert "package world 2.0 " in desk.lock.read_text()


def test_recommends_and_removals(desk: Desk) -> None:
    desk.ensure(recommends=True)
    assert "nice" in names(desk)
    desk.ensure(recommends=True, remove=["nice"])
    assert "nice" not in names(desk)


def test_removal_of_what_is_needed_is_no_solution(desk: Desk) -> None:
    error = desk.refusal(remove=["world"])
    assert error.brief == "the packages cannot be installed together"
    assert "hello : Depends: world (>= 1)" in error.details


def test_required_package_may_be_removed(desk: Desk) -> None:
    desk.ensure(remove=["must"])
    assert names(desk) == ["apt", "base", "hello", "world"]


def test_essential_package_may_not_be_removed(desk: Desk) -> None:
    assert "base" in desk.refusal(remove=["base"]).brief


def test_misspelt_package(desk: Desk) -> None:
    error = desk.refusal(install=["helo"])
    assert error.brief == "no repository has helo"
    assert "'hello'" in error.hint


def test_conflict_is_told_in_the_words_of_apt(desk: Desk) -> None:
    desk.archive.add("grumpy", Conflicts="world")
    desk.archive.publish()
    error = desk.refusal(install=["hello", "grumpy"])
    assert error.brief == "the packages cannot be installed together"
    assert "grumpy : Conflicts: world" in error.details


def test_missing_dependency_is_told_in_the_words_of_apt(desk: Desk) -> None:
    desk.archive.add("lonely", Depends="nobody")
    desk.archive.publish()
    assert "lonely : Depends: nobody but it is not installable" in desk.refusal(install=["lonely"]).details


def test_virtual_package_is_told_in_the_words_of_apt(desk: Desk) -> None:
    for name in ("one", "two"):
        desk.archive.add(name, Provides="either")
    desk.archive.publish()
    error = desk.refusal(install=["either"])
    assert error.brief == "either cannot be installed by that name"
    assert "one 1.0" in error.details
    assert error.hint == "name one of the packages that provide it"


def test_tampered_package(desk: Desk) -> None:
    desk.archive.tamper("pool/hello_1.0_all.deb", b"hello of the tests", b"hello of the thief")
    error = desk.refusal()
    assert error.brief.startswith("hello is refused")
    assert "expected: " in error.details
    assert "found: " in error.details
    wanted = error.details.split("sha256 ")[1].split()[0]
    assert not (desk.root / "cache/partial" / wanted).exists()  # others, stopped half way, may be gone on with
    assert not list((desk.root / "cache/sha256").glob(f"*/{wanted}"))


def test_tampered_index(desk: Desk) -> None:
    desk.archive.tamper(desk.archive.index, b"hello of the tests", b"hello of the thief")
    error = desk.refusal()
    assert "has an index that is not what its signed Release file says" in error.brief
    assert desk.archive.url in error.brief


def test_tampered_release_file(desk: Desk) -> None:
    desk.archive.tamper(desk.archive.release, b"Components: main", b"Components: evil")
    error = desk.refusal()
    assert "has a bad signature" in error.brief
    assert f"{desk.archive.url} {desk.archive.suite}" in error.brief


def test_release_file_that_is_no_signed_text(desk: Desk) -> None:
    (desk.archive.directory / desk.archive.release).write_text("<html>Please log in</html>\n")
    assert "has a Release file that is not whole" in desk.refusal().brief


def test_unsigned_repository(desk: Desk) -> None:
    desk.archive.publish(signed=False)
    assert desk.refusal().brief.endswith("is not signed")


def test_wrong_keyring(desk: Desk) -> None:
    right = desk.archive.keyring
    desk.trust(desk.archive.use_new_key("stranger"))
    assert right != desk.archive.keyring
    error = desk.refusal()
    assert "which the keyring does not have" in error.brief
    assert "packages.keyring" in error.hint
    desk.trust(right)
    assert desk.ensure().action == "made"


def test_missing_keyring(desk: Desk) -> None:
    assert "keys/nothing.gpg cannot be read" in desk.refusal(keyring="keys/nothing.gpg").brief


def test_armored_keyring(desk: Desk) -> None:
    desk.archive.export_armored(desk.recipe / "keys/archive.asc")
    assert desk.ensure(keyring="keys/archive.asc").action == "made"


def test_expired_release_file(desk: Desk) -> None:
    now = datetime.now(UTC)
    desk.archive.publish(date=now - timedelta(days=9), valid_until=now - timedelta(days=2))
    error = desk.refusal()
    assert "has an expired Release file (invalid since 2d" in error.brief


def test_release_file_from_the_future(desk: Desk) -> None:
    desk.archive.publish(date=datetime.now(UTC) + timedelta(days=2))
    error = desk.refusal()
    assert "has a Release file from the future" in error.brief
    assert "clock" in error.hint


def test_unknown_suite(desk: Desk) -> None:
    error = desk.refusal(repositories=[{"url": desk.archive.url, "suite": "huge"}])
    assert error.brief.endswith("huge is not there")


def test_unreachable_mirror(desk: Desk) -> None:
    desk.archive.server.down()
    error = desk.refusal()
    assert "cannot be reached" in error.brief
    assert "http_proxy" in error.hint


def test_unreachable_proxy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert "cannot be reached" in desk.refusal().brief


def test_mirror_that_dies_halfway_is_resumed(desk: Desk) -> None:
    desk.archive.server.cut["/pool/world_1.0_all.deb"] = 100_000
    desk.ensure()
    assert desk.archive.downloads("world") == ["", "bytes=100000-"]


def test_mirrors_are_used_and_not_locked(desk: Desk) -> None:
    real = "http://archive.example.org/debian"
    section = {"repositories": [{"url": f"{real}/", "suite": "{release}"}]}
    desk.ensure(
        settings={"mirrors": {"http://archive.example.org": "http://127.0.0.1:9", real: desk.archive.url}}, **section
    )
    text = desk.lock.read_text()
    assert f"repository {real} tiny " in text
    assert f" {real}/pool/hello_1.0_all.deb" in text
    assert desk.archive.url not in text


def test_repository_of_files(desk: Desk) -> None:
    desk.archive.server.down()
    desk.ensure(repositories=[{"url": desk.archive.directory.as_uri(), "suite": "tiny"}])
    assert "hello" in names(desk)


def test_cache_is_shared_by_recipes(desk: Desk) -> None:
    desk.ensure()
    desk.archive.server.requests.clear()
    desk.ensure(settings={"build_directory": desk.root / "other"})
    assert (desk.root / "other/small/packages.lock").read_bytes() == desk.lock.read_bytes()
    assert not [path for path, _ in desk.archive.server.requests if path.startswith("/pool")]


def test_pin_that_changed_runs_again(desk: Desk) -> None:
    path = desk.pin()
    desk.ensure()
    path.write_text(path.read_text() + "# kept for the audit\n")
    outcome = desk.ensure()
    assert (outcome.action, outcome.reason) == ("made", "packages.lock changed")


def test_pin_that_disagrees_with_the_recipe(desk: Desk) -> None:
    desk.pin()
    for section, words in (
        ({"release": "huge"}, "is for debian tiny x86_64, the recipe for debian huge x86_64"),
        ({"install": ["hello", "nice"]}, "lacks what the recipe installs: nice"),
        ({"remove": ["world"]}, "has what the recipe removes: world"),
    ):
        with pytest.raises(KnitterError) as caught:
            desk.ensure(**section)
        assert words in caught.value.brief
        assert "to renew it" in caught.value.hint


def test_pinned_package_that_nobody_has(desk: Desk) -> None:
    path = desk.pin()
    desk.archive.remove("world")
    gone = next(one for one in lock.parse(path.read_text(), "pin").packages if one.name == "world")
    desk.cached(gone.sha256).unlink()
    with pytest.raises(KnitterError) as caught:
        desk.ensure()
    assert caught.value.brief == f"the mirror does not have world, which {path} pins"
    assert "HTTP 404" in caught.value.details
    assert "mirrors in .doit.cfg" in caught.value.hint


def test_pin_that_is_no_lock(desk: Desk) -> None:
    (desk.recipe / "packages.lock").write_text("format 7\n")
    assert "is not a packages.lock" in desk.refusal().brief


def test_full_disk_is_seen_before_the_download(desk: Desk) -> None:
    index = desk.archive.directory / desk.archive.index
    index.write_text(index.read_text().replace("\nSize: ", "\nSize: 9999999999999"))
    desk.archive.sign()
    error = desk.refusal()
    assert error.brief == f"no space left in the cache {desk.root / 'cache'}"
    assert not [path for path, _ in desk.archive.server.requests if path.startswith("/pool")]


def test_cache_that_cannot_be_written(desk: Desk) -> None:
    (desk.root / "cache").write_text("in the way")
    error = desk.refusal()
    assert f"cannot write in the cache {desk.root / 'cache'}" in error.brief
    assert "cache_directory" in error.hint


def test_build_directory_with_spaces(desk: Desk) -> None:
    desk.ensure(settings={"build_directory": desk.root / "a place, of mine"})


def test_host_keyring_is_not_used(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever APT_CONFIG the user has, the private root's counts."""
    theirs = desk.root / "theirs.conf"
    theirs.write_text(f'Dir::Etc::TrustedParts "{desk.archive.keyring.parent}";\nAcquire::Check-Valid-Until "false";\n')
    monkeypatch.setenv("APT_CONFIG", str(theirs))
    desk.trust(desk.archive.use_new_key("stranger"))
    assert "which the keyring does not have" in desk.refusal().brief


def test_build_directory_that_apt_cannot_name(desk: Desk) -> None:
    with pytest.raises(KnitterError, match="a quote in the path"):
        desk.ensure(settings={"build_directory": desk.root / 'a "place"'})


def test_keyring_that_is_none(desk: Desk) -> None:
    (desk.recipe / "keys/archive.gpg").write_bytes(b"garbage")
    error = desk.refusal()
    assert "which the keyring does not have" in error.brief
    assert "unsupported filetype" in error.details


def test_changed_lock_is_not_taken_for_whole(desk: Desk) -> None:
    desk.ensure()
    text = desk.lock.read_text()
    desk.lock.write_text(text.replace("package hello 1.0", "package hello 6.6"))
    assert desk.ensure().action == "made"
    assert desk.lock.read_text() == text


def test_two_components_of_a_suite_are_one_repository(desk: Desk) -> None:
    repository = {"url": desk.archive.url, "suite": desk.archive.suite}
    desk.ensure(repositories=[repository, repository | {"components": ["main"]}])
    assert desk.lock.read_text().count("\nrepository ") == 1


def test_default_sources_are_those_of_mmdebstrap(tmp_path: Path) -> None:
    lines: list[str] = []
    (tmp_path / "empty").touch()
    ask = apt.plan_defaults(tmp_path, tmp_path / "empty", release="bookworm", architecture="arm64")
    Local().run(ask, check=False, on_line=lines.append)
    sources = apt.parse_sources(lines)
    assert [source.suite for source in sources] == ["bookworm", "bookworm-updates", "bookworm-security"]
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_unknown_release_is_refused_before_anything_starts(desk: Desk) -> None:
    with pytest.raises(KnitterError) as caught:
        desk.ensure(release="bokworm", repositories=[], keyring="")
    assert "did you mean 'bookworm'?" in caught.value.hint
    assert desk.archive.server.requests == []

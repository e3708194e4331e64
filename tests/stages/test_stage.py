"""`ensure`, on a stage that copies a text of the recipe into a file."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import JsonValue

from knitter import receipt
from knitter.aws.session import Cloud
from knitter.errors import KnitterError
from knitter.receipt import Receipt, digest_of
from knitter.recipe.model import DebianPackages, Recipe, System
from knitter.settings import Settings
from knitter.stages.build import Build
from knitter.stages.stage import Made, Stage, Work, ensure, section


def no_cloud() -> Cloud:
    raise AssertionError("this stage needs no cloud")


@dataclass
class Host(Stage):
    """Writes the hostname into a file."""

    name = "host"
    revision = 1
    does = "write the hostname"
    made: list[str] = field(default_factory=list)
    fails: bool = False
    elsewhere: dict[str, Made] = field(default_factory=dict)

    def sections(self, build: Build) -> dict[str, JsonValue]:
        return section("system", build.recipe.system)

    def make(self, build: Build, work: Work) -> Made:
        self.made.append(build.recipe.system.hostname)
        (work.directory / "host.txt").write_text(build.recipe.system.hostname)
        if self.fails:
            raise KnitterError("no luck")
        return Made(
            digest_of(build.recipe.system.hostname), ("host.txt",), {"length": len(build.recipe.system.hostname)}
        )

    def adopt(self, build: Build, key: str) -> Made | None:
        return self.elsewhere.get(key)


class Greeting(Stage):
    """Consumes the host's digest."""

    name = "greeting"
    revision = 1
    does = "greet"
    consumes = (Host,)

    def sections(self, build: Build) -> dict[str, JsonValue]:
        return {}

    def make(self, build: Build, work: Work) -> Made:
        return Made("greeted")


class Full(Host):
    """Writes where there never is any room."""

    def make(self, build: Build, work: Work) -> Made:
        super().make(build, work)
        Path("/dev/full").write_text("x")
        raise AssertionError("there was room")


def a_build(root: Path, hostname: str = "one") -> Build:
    wanted = DebianPackages(release="bookworm")
    recipe = Recipe(name="toy", directory=root, packages=wanted, system=System(hostname=hostname))
    return Build(recipe, Settings(build_directory=root / "build", cache_directory=root / "cache"), no_cloud)


def files(root: Path) -> list[str]:
    return sorted(
        str(path.relative_to(root / "build" / "toy")) for path in (root / "build").rglob("*") if path.is_file()
    )


def test_what_is_made_once_is_kept(tmp_path: Path) -> None:
    stage = Host()
    first, second = ensure(stage, a_build(tmp_path)), ensure(stage, a_build(tmp_path))
    assert (first.action, first.reason, second.action) == ("made", "never made", "kept")
    assert stage.made == ["one"]
    assert first.receipt.outputs == {"host.txt": 3}
    assert files(tmp_path) == [".lock", "host.json", "host.txt", "logs/host.log"]


def test_a_changed_field_is_the_reason(tmp_path: Path) -> None:
    stage = Host()
    ensure(stage, a_build(tmp_path))
    outcome = ensure(stage, a_build(tmp_path, "two"))
    assert (outcome.action, outcome.reason) == ("made", "system.hostname changed")
    assert not stage.is_current(a_build(tmp_path, "one"))
    assert stage.is_current(a_build(tmp_path, "two"))


@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_an_output_that_is_not_whole_is_made_again(tmp_path: Path, harm: str) -> None:
    stage = Host()
    ensure(stage, a_build(tmp_path))
    output = tmp_path / "build" / "toy" / "host.txt"
    output.unlink() if harm == "gone" else output.write_text("on")
    assert not stage.is_current(a_build(tmp_path))
    assert ensure(stage, a_build(tmp_path)).reason == "what it made is gone or too old"
    assert output.read_text() == "one"


def test_a_failure_leaves_what_was_there_and_no_workspace(tmp_path: Path) -> None:
    ensure(Host(), a_build(tmp_path))
    before = files(tmp_path)
    with pytest.raises(KnitterError, match="no luck"):
        ensure(Host(fails=True), a_build(tmp_path, "two"))
    assert files(tmp_path) == before
    assert (tmp_path / "build" / "toy" / "host.txt").read_text() == "one"
    assert ensure(Host(), a_build(tmp_path, "one")).action == "kept"


def test_a_full_disk_is_told_as_such_and_nothing_is_lost(tmp_path: Path) -> None:
    ensure(Host(), a_build(tmp_path))
    before = files(tmp_path)
    with pytest.raises(KnitterError, match=r"no space left in .*/build/toy") as caught:
        ensure(Full(), a_build(tmp_path, "two"))
    assert "make room" in caught.value.hint
    assert files(tmp_path) == before
    assert ensure(Host(), a_build(tmp_path, "two")).action == "made"


def test_a_receipt_never_vouches_for_files_of_another_key(tmp_path: Path) -> None:
    """A run killed between moving the outputs and writing the receipt."""
    ensure(Host(), a_build(tmp_path, "one"))
    folder = tmp_path / "build" / "toy"
    ensure(Host(), a_build(tmp_path, "two"))
    (folder / "host.json").unlink()  # what such a kill leaves: new files and no receipt
    assert ensure(Host(), a_build(tmp_path, "one")).action == "made"
    assert (folder / "host.txt").read_text() == "one"


def test_what_a_killed_run_left_in_the_workspace_is_not_taken(tmp_path: Path) -> None:
    half = tmp_path / "build" / "toy" / ".host"
    half.mkdir(parents=True)
    (half / "junk").write_text("half")
    ensure(Host(), a_build(tmp_path))
    assert files(tmp_path) == [".lock", "host.json", "host.txt", "logs/host.log"]


def test_what_exists_elsewhere_is_adopted(tmp_path: Path) -> None:
    build = a_build(tmp_path)
    key = receipt.key_of("host", 1, Host().inputs(build))
    stage = Host(elsewhere={key: Made("found", (), {"id": "there"})})
    outcome = ensure(stage, build)
    assert (outcome.action, outcome.receipt.facts, stage.made) == ("adopted", {"id": "there"}, [])


def test_the_digest_of_an_earlier_stage_is_an_input(tmp_path: Path) -> None:
    ensure(Host(), a_build(tmp_path))
    assert ensure(Greeting(), a_build(tmp_path)).action == "made"
    ensure(Host(), a_build(tmp_path, "two"))
    assert ensure(Greeting(), a_build(tmp_path, "two")).reason == "host changed"


def test_without_the_earlier_stage_the_error_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(KnitterError) as caught:
        ensure(Greeting(), a_build(tmp_path))
    assert "doit host:toy" in caught.value.hint
    assert not Greeting().is_current(a_build(tmp_path))


def test_why_it_is_stale_can_be_asked_without_doing_it(tmp_path: Path) -> None:
    stage = Host()
    assert stage.why_stale(a_build(tmp_path)) == "never made"
    assert Greeting().why_stale(a_build(tmp_path)) == "toy has no host yet"
    ensure(stage, a_build(tmp_path))
    assert stage.why_stale(a_build(tmp_path)) == ""
    assert stage.why_stale(a_build(tmp_path, "two")) == "system.hostname changed"


def test_two_at_once_make_it_once(tmp_path: Path) -> None:
    stage = Host()
    threads = [threading.Thread(target=ensure, args=(stage, a_build(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stage.made == ["one"]


def test_a_build_directory_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "build").write_text("a file")
    with pytest.raises(KnitterError) as caught:
        ensure(Host(), a_build(tmp_path))
    assert "cannot write in" in caught.value.brief
    assert "build_directory" in caught.value.hint


def test_clean_removes_the_local_files(tmp_path: Path) -> None:
    ensure(Host(), a_build(tmp_path))
    Host().clean(a_build(tmp_path))
    assert files(tmp_path) == [".lock"]


def test_a_receipt_holds_no_times(tmp_path: Path) -> None:
    texts = []
    for root in (tmp_path / "a", tmp_path / "b"):
        ensure(Host(), a_build(root))
        texts.append((root / "build" / "toy" / "host.json").read_bytes())
    assert texts[0] == texts[1]
    assert Receipt.model_validate_json(texts[0]).facts == {"length": 3}

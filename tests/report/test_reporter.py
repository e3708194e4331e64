"""The reporter under the real doit, in this process, writing to a file (`doit -o`)."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from doit.cmd_base import ModuleTaskLoader
from doit.doit_cmd import DoitMain

from knitter import progress
from knitter.errors import KnitterError
from knitter.report import Product, Reporter, creating, loading, refusing
from knitter.report.reporter import how_called

STAGES = ("packages", "rootfs", "disk")
Act = Callable[[str], dict[str, Any]]


def made(name: str) -> dict[str, Any]:
    progress.say("", reason="disk.size changed")
    progress.say(f"working on {name}", done=1, total=2, unit="B")
    return {"action": "made", "reason": "disk.size changed"}


class House:
    """A dodo of three stages per recipe, in a directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recipes = ["debian-12"]
        self.acts: dict[str, Act] = {}
        self.current: set[str] = set()

    def doit(self, *argv: str) -> tuple[int, str]:
        """Exit code, and what was reported."""
        out = self.folder / "out.txt"
        out.write_text("")
        code = DoitMain(ModuleTaskLoader(self._module()), config_filenames=()).run(["run", "-o", str(out), *argv])
        return code, out.read_text()

    def log(self, name: str) -> Path:
        stage, _, recipe = name.partition(":")
        return self.folder / recipe / "logs" / f"{stage}.log"

    def receipt(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _module(self) -> dict[str, Any]:
        config = {"reporter": Reporter, "dep_file": str(self.folder / "db"), "verbosity": 2, "par_type": "thread"}
        return {"DOIT_CONFIG": config, "task_stages": self._stages, "task_build": self._builds}

    def _stages(self) -> Iterator[dict[str, Any]]:
        for recipe in self.recipes:
            before: list[str] = []
            for stage in STAGES:
                name = f"{stage}:{recipe}"
                yield {
                    "basename": stage,
                    "name": recipe,
                    "actions": [refusing(self._action(name))],
                    "uptodate": [name in self.current],
                    "file_dep": before,
                    "targets": [str(self.receipt(name))],
                    "io": {"capture": False},
                    "meta": {"log": self.log(name)},
                }
                before = [str(self.receipt(name))]

    def _action(self, name: str) -> Callable[[], dict[str, Any]]:
        def action() -> dict[str, Any]:
            with progress.task(name):
                values = self.acts.get(name, made)(name)
            self.receipt(name).touch()
            return values

        return action

    def _builds(self) -> Iterator[dict[str, Any]]:
        for recipe in self.recipes:
            farewell = self._product(recipe)
            yield {"name": recipe, "actions": None, "task_dep": [f"disk:{recipe}"], "meta": {"farewell": farewell}}

    def _product(self, recipe: str) -> Callable[[], Product]:
        disk = Path("build") / recipe / "disk.raw"
        return lambda: Product(
            recipe, f"ami-{recipe}", f"{recipe}-x", "lab", "us-east-1", disk, 1 << 30, 1 << 20, STAGES
        )


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def timeless(text: str) -> str:
    return re.sub(r" *\d+\.\d s", " T", text)


def refuse(name: str) -> dict[str, Any]:
    progress.say(f"making {name}")
    raise KnitterError("no room for disk.raw", details="needed 8 GiB\nfree 2 GiB", hint="free some")


def break_down(name: str) -> dict[str, Any]:
    return {"action": "made", "per": len(name) // 0}


def test_a_build_says_why_each_stage_ran_and_what_came_of_it(house: House) -> None:
    code, text = house.doit("build:debian-12")
    assert code == 0
    started = timeless(text).splitlines()[:6]
    assert started == [
        "▸ packages:debian-12  disk.size changed",
        "✓ packages:debian-12 T  disk.size changed",
        "▸ rootfs:debian-12  disk.size changed",
        "✓ rootfs:debian-12 T  disk.size changed",
        "▸ disk:debian-12  disk.size changed",
        "✓ disk:debian-12 T  disk.size changed",
    ]
    assert "\ndebian-12 is ready: ami-debian-12\n" in text
    assert "  packages T  made  disk.size changed\n" in timeless(text)


def test_a_build_with_nothing_to_do_says_one_line(house: House) -> None:
    house.doit("build:debian-12")
    house.current = {f"{stage}:debian-12" for stage in STAGES}
    assert house.doit("build:debian-12") == (0, "✓ debian-12 is up to date: ami-debian-12 in the lab\n")


def test_stages_that_ensure_kept_are_up_to_date_too(house: House) -> None:
    house.acts = {f"{stage}:debian-12": lambda _: {"action": "kept", "reason": ""} for stage in STAGES}
    assert house.doit("build:debian-12") == (0, "✓ debian-12 is up to date: ami-debian-12 in the lab\n")


def test_a_stage_alone_needs_no_farewell(house: House) -> None:
    house.doit("packages:debian-12")
    house.current = {"packages:debian-12"}
    house.acts["rootfs:debian-12"] = lambda _: {"action": "adopted", "reason": "never made"}
    code, text = house.doit("rootfs:debian-12")
    assert code == 0
    assert timeless(text).splitlines() == [
        "✓ rootfs:debian-12 T  adopted: never made",
        "",
        "  rootfs:debian-12 T  adopted  never made",
        "",
        "1 adopted, 1 up to date in T",
    ]


def test_a_failure_is_told_with_details_hint_log_and_what_was_not_reached(house: House) -> None:
    house.acts["rootfs:debian-12"] = refuse
    house.log("rootfs:debian-12").parent.mkdir(parents=True)
    house.log("rootfs:debian-12").write_text("mmdebstrap: ...\n")
    code, text = house.doit("build:debian-12")
    assert code == 1
    assert timeless(text).partition("✗")[2] == (
        " rootfs:debian-12 T  no room for disk.raw\n"
        "\n"
        "  rootfs:debian-12 T  failed  no room for disk.raw\n"
        "  packages:debian-12 T  made    disk.size changed\n"
        "\n"
        "1 failed, 1 made in T\n"
        "not reached: disk of debian-12\n"
        "\n"
        "rootfs:debian-12: no room for disk.raw\n"
        "    needed 8 GiB\n"
        "    free 2 GiB\n"
        f"    log: {house.log('rootfs:debian-12')}\n"
        "  → free some\n"
    )


def test_the_others_go_on_with_continue(house: House) -> None:
    house.recipes = ["a", "b", "c"]
    house.acts["rootfs:b"] = refuse
    code, text = house.doit("-c", "-n", "4", "build")
    assert code == 2
    assert "1 failed, 7 made in" in text
    assert "not reached: disk of b\n" in text
    assert "  a  ami-a  the lab\n  c  ami-c  the lab\n" in text
    assert text.count("no room for disk.raw") == 3
    assert "UnmetDependency" not in text


def test_a_bug_is_called_one_and_its_traceback_is_kept(house: House) -> None:
    house.acts["packages:debian-12"] = break_down
    code, text = house.doit("build:debian-12")
    assert code == 2
    assert "packages:debian-12: a bug in knitter: ZeroDivisionError: integer division or modulo by zero\n" in text
    assert "Traceback" not in text
    assert "in break_down" in house.log("packages:debian-12").with_suffix(".crash").read_text()


def test_a_bug_is_shown_when_asked_for(house: House) -> None:
    house.acts["packages:debian-12"] = break_down
    _, text = house.doit("--failure-verbosity", "1", "build:debian-12")
    assert "in break_down" in text


def test_sixteen_threads_talk_and_nothing_is_torn(house: House) -> None:
    house.recipes = [f"r{n}" for n in range(24)]
    code, text = house.doit("-n", "16", "build")
    assert code == 0
    names = {f"{stage}:{recipe}" for stage in STAGES for recipe in house.recipes}
    before, _, after = timeless(text).partition("\n\n")
    assert sorted(before.splitlines()) == sorted(
        line for name in names for line in (f"▸ {name}  disk.size changed", f"✓ {name} T  disk.size changed")
    )
    assert "72 made in" in after
    assert progress._listeners == []


def test_other_tasks_print_for_themselves(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    module = house._module()
    module["task_lab"] = lambda: {"actions": [refusing(lambda: print("export X=1"))], "io": {"capture": False}}
    out = house.folder / "out.txt"
    code = DoitMain(ModuleTaskLoader(module), config_filenames=()).run(["run", "-o", str(out), "lab"])
    assert (code, capsys.readouterr().out, out.read_text()) == (0, "export X=1\n", "")


def test_other_reporters_get_the_error_as_text(house: House) -> None:
    house.acts["packages:debian-12"] = refuse
    code, text = house.doit("-r", "json", "build:debian-12")
    first = next(task for task in json.loads(text)["tasks"] if task["name"] == "packages:debian-12")
    assert (code, first["result"]) == (1, "fail")
    assert first["error"] == "no room for disk.raw\n    needed 8 GiB\n    free 2 GiB\n  → free some\n"
    assert house.doit("-r", "console", "build:debian-12")[1].count("no room for disk.raw") == 1


def test_a_product_that_cannot_be_told_is_an_error_not_a_crash(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Product:
        raise KnitterError("debian-12 has no ami yet")

    monkeypatch.setattr(house, "_product", lambda _: unknown)
    code, text = house.doit("build:debian-12")
    assert code == 0
    assert text.endswith("build:debian-12: debian-12 has no ami yet\n")


def test_an_error_while_tasks_are_made_is_text_and_exit_code_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @creating
    def task_build() -> Iterator[dict[str, Any]]:
        yield {"name": "a", "actions": None}
        raise KnitterError("recipes/b/recipe.toml cannot be used", details="line 3: disk.sze", hint="disk.size?")

    module = {"DOIT_CONFIG": {"dep_file": str(tmp_path / "db")}, "task_build": task_build}
    code = DoitMain(ModuleTaskLoader(module), config_filenames=()).run(["list"])
    assert code == 3
    assert capsys.readouterr().err == (
        "ERROR: recipes/b/recipe.toml cannot be used\n    line 3: disk.sze\n  → disk.size?\n"
    )


def test_loading_lets_other_exceptions_pass() -> None:
    with pytest.raises(ZeroDivisionError), loading():
        raise ZeroDivisionError


def test_a_full_disk_is_no_bug(house: House) -> None:
    """Wherever an action writes: here it prints into a log that has no room."""

    def act(name: str) -> dict[str, Any]:
        Path("/dev/full").write_text(name)
        return {}

    house.acts["disk:debian-12"] = act
    code, text = house.doit("build:debian-12")
    assert code
    assert "disk:debian-12: no space left\n" in text
    assert "bug" not in text


def test_refusing_keeps_the_signature_doit_reads() -> None:
    @refusing
    def act(keep: bool) -> dict[str, bool]:
        return {"keep": keep}

    assert act(keep=True) == {"keep": True}
    assert act.__wrapped__.__code__.co_varnames[0] == "keep"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([".venv/bin/doit"], ".venv/bin/doit"),
        (["/nowhere/bin/doit"], "/nowhere/bin/doit"),
        (["pytest"], "doit"),
        ([], "doit"),
    ],
)
def test_how_called(argv: list[str], said: str) -> None:
    assert how_called(argv) == said

"""The texts a user reads, word for word, at 80 columns."""

from dataclasses import replace
from pathlib import Path

import pytest

from knitter.errors import CommandError, KnitterError
from knitter.report.error import Refusal, explain, render
from knitter.report.farewell import Product, farewell, several, up_to_date
from knitter.report.look import ASCII, Look
from knitter.report.overview import Row, StageState, State, overview
from knitter.report.run import Finished
from knitter.report.summary import end_line, not_reached, table, total

STAGES = ("packages", "rootfs", "disk", "boot", "snapshot", "ami")
PRODUCT = Product(
    recipe="debian-12",
    image="ami-0123456789abcdef0",
    name="debian-12-20261123-0123abcd",
    cloud="lab",
    region="us-east-1",
    disk=Path("build/debian-12/disk.raw"),
    disk_size=8 << 30,
    uploaded=612 << 20,
    stages=STAGES,
)
RAN = [
    Finished("disk:debian-12", 6.24, "made", "disk.size changed"),
    Finished("boot:debian-12", 41.0, "made", "disk changed"),
    Finished("snapshot:debian-12", 0.5, "adopted", "disk changed"),
    Finished("ami:debian-12", 80.0, "made", "snapshot changed"),
]


def recipe(name: str, *, done: int, stale: str = "", image: str = "") -> Row:
    """A recipe of which so many stages were made; the first of them is stale if *stale* says why."""
    states: list[State] = ["current"] * done + ["never"] * (6 - done)
    reasons = [""] * 6
    if stale:
        states[0], reasons[0] = "stale", stale
    stages = tuple(StageState(*each) for each in zip(STAGES, states, reasons, strict=True))
    return Row(name, f"{name}, amd64, as Debian makes it", stages, image, "lab" if image else "")


def widest(text: str) -> int:
    return max(map(len, text.splitlines()))


def test_overview_of_no_recipe() -> None:
    assert (
        overview([]) == "There is no recipe yet.\nMake one: recipes/<name>/recipe.toml; README.md says what it holds."
    )


def test_overview_of_one_recipe_that_is_built() -> None:
    text = overview([recipe("debian-12", done=6, image="ami-0123456789abcdef0")])
    assert text == (
        "1 recipe: 1 built\n"
        "\n"
        "  debian-12  built  ami-0123456789abcdef0 in lab\n"
        "\n"
        "doit boot:debian-12 --keep  starts it here\n"
        "doit list                   every stage of every recipe"
    )


def test_overview_shows_what_needs_work_first() -> None:
    rows = [
        recipe("centos-6.9", done=6, image="ami-0123456789abcdef0"),
        recipe("debian-13", done=0),
        recipe("debian-12", done=6, stale="system.release, packages.install changed, and much more besides"),
        recipe("ubuntu", done=2),
    ]
    text = overview(rows, doit=".venv/bin/doit")
    assert text == (
        "4 recipes: 1 stale, 1 begun, 1 not built, 1 built\n"
        "\n"
        "  debian-12   stale      from packages: system.release, packages.install change…\n"
        "  ubuntu      begun      disk is next\n"
        "  debian-13   not built  debian-13, amd64, as Debian makes it\n"
        "  centos-6.9  built      ami-0123456789abcdef0 in lab\n"
        "\n"
        ".venv/bin/doit build:debian-12  makes its AMI, and only what is missing\n"
        ".venv/bin/doit list             every stage of every recipe"
    )


def test_overview_of_300_recipes_stays_short() -> None:
    text = overview([recipe(f"recipe-{n:03}", done=n % 7) for n in range(300)])
    assert text.startswith("300 recipes: 215 begun, 43 not built, 42 built\n")
    assert "  … and 280 more: doit list" in text
    assert len(text.splitlines()) < 30
    assert widest(text) <= 80


FAREWELL = """\
debian-12 is ready: ami-0123456789abcdef0

  AMI    ami-0123456789abcdef0
  name   debian-12-20261123-0123abcd
  cloud  lab, on this machine; it poses as us-east-1
  disk   8.0 GiB, of which 612.0 MiB uploaded
  file   build/debian-12/disk.raw

  packages              up to date
  rootfs                up to date
  disk           6.2 s  made        disk.size changed
  boot          41.0 s  made        disk changed
  snapshot       0.5 s  adopted     disk changed
  ami       1 min 20 s  made        snapshot changed
  2 min 08 s in all

look at it (AWS CLI 2.13, 1.29 or later: pip install awscli):
    eval "$(doit lab)"
    aws ec2 describe-images --image-ids ami-0123456789abcdef0
start it:
    doit boot:debian-12 --keep
    doit launch:debian-12
make it in AWS instead (or set cloud = aws in .doit.cfg):
    KNITTER_CLOUD=aws doit build:debian-12"""


def test_farewell() -> None:
    assert farewell(PRODUCT, RAN, seconds=128.0) == FAREWELL


def test_farewell_in_aws_says_the_region_in_every_command() -> None:
    text = farewell(replace(PRODUCT, cloud="aws", region="eu-west-1"), RAN)
    commands = [line for line in text.splitlines() if line.startswith("    aws ")]
    assert commands == [
        "    aws ec2 describe-images --region eu-west-1 --image-ids ami-0123456789abcdef0",
        "    aws ec2 run-instances --region eu-west-1 --image-id ami-0123456789abcdef0",
    ]
    assert "doit lab" not in text


def test_a_build_with_nothing_to_do_takes_one_line() -> None:
    assert up_to_date(PRODUCT) == "✓ debian-12 is up to date: ami-0123456789abcdef0 in the lab"


def test_several_products_take_a_line_each() -> None:
    other = replace(PRODUCT, recipe="x", cloud="aws", region="eu-west-1")
    assert several([PRODUCT, other]).splitlines() == [
        "  debian-12  ami-0123456789abcdef0  the lab",
        "  x          ami-0123456789abcdef0  AWS eu-west-1",
    ]


ERROR = KnitterError(
    "debian-12 did not answer on SSH within 5 min",
    details="last lines of the console:\n\n  [  OK  ] Reached target\n\x1b[1;31mKernel panic\x1b[0m\r\n",
    hint="doit boot:debian-12 --keep\nshows it",
)


def test_an_error_is_brief_then_details_then_hint() -> None:
    assert render(ERROR, where="boot:debian-12") == (
        "boot:debian-12: debian-12 did not answer on SSH within 5 min\n"
        "    last lines of the console:\n"
        "\n"
        "      [  OK  ] Reached target\n"
        "    Kernel panic\n"
        "  → doit boot:debian-12 --keep\n"
        "    shows it"
    )


def test_an_error_in_ascii_and_in_colour() -> None:
    assert render(KnitterError("no", hint="yes"), look=Look(signs=ASCII)) == "no\n  -> yes"
    assert render(KnitterError("no"), look=Look(colour=True)) == "\x1b[1;31mno\x1b[0m"


class Fail:
    """A doit failure that holds a traceback, as doit 0.37's own do."""

    report = True
    message = "PythonAction Error"

    def __init__(self, *traceback: str) -> None:
        self.traceback = traceback


def test_a_bug_leaves_its_traceback_beside_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "disk.log"
    trace = ("Traceback (most recent call last):\n", "  File ...\n", "ZeroDivisionError: division by zero\n")
    error = explain(Fail(*trace), task="disk:x", log=log, show_trace=False)
    assert error.brief == "a bug in knitter: ZeroDivisionError: division by zero"
    assert error.details == f"traceback: {tmp_path}/logs/disk.crash"
    assert (tmp_path / "logs" / "disk.crash").read_text() == "".join(trace)


@pytest.mark.parametrize("log", [None, Path("/proc/nowhere/logs/disk.log")])
def test_a_bug_whose_traceback_cannot_be_left_is_shown(log: Path | None) -> None:
    error = explain(Fail("Traceback\n", "ValueError: x\n"), task="disk:x", log=log, show_trace=False)
    assert error.details == "Traceback\nValueError: x\n"


def test_a_failure_without_a_traceback_says_what_doit_says() -> None:
    assert explain(Fail(), task="disk:x", log=None, show_trace=False).details == "PythonAction Error"


def test_the_log_is_named_once(tmp_path: Path) -> None:
    log = tmp_path / "disk.log"
    refusal = Refusal(CommandError("mke2fs failed", code=1, details="no space"))
    assert explain(refusal, task="disk:x", log=log, show_trace=False).details == "no space"
    log.write_text("mke2fs: no space\n")
    assert explain(refusal, task="disk:x", log=log, show_trace=False).details == f"no space\nlog: {log}"
    naming = Refusal(CommandError("mke2fs failed", code=1, details=f"see {log}"))
    assert explain(naming, task="disk:x", log=log, show_trace=False).details == f"see {log}"


def test_end_lines_and_the_table_put_failures_first() -> None:
    failed = Finished("boot:debian-12", 3.0, "failed", "the console fell silent\nfor long")
    assert end_line(RAN[0]) == "✓ disk:debian-12         6.2 s  disk.size changed"
    assert end_line(RAN[2], name_width=20) == "✓ snapshot:debian-12           0.5 s  adopted: disk changed"
    assert table([RAN[0], failed]).splitlines() == [
        "  boot:debian-12  3.0 s  failed  the console fell silent",
        "  disk:debian-12  6.2 s  made    disk.size changed",
    ]
    assert total([RAN[0], failed], current=3, seconds=9.2) == "1 failed, 1 made, 3 up to date in 9.2 s"


def test_a_table_of_very_many_keeps_the_failures() -> None:
    many = [Finished(f"disk:r{n}", 1.0, "made") for n in range(100)]
    assert table([*many, Finished("boot:r", 1.0, "failed", "no")]) == "  boot:r  1.0 s  failed  no"


def test_not_reached_groups_recipes() -> None:
    assert not_reached([]) == ""
    assert not_reached(["boot:a", "ami:a", "boot:b", "ami:b", "ami:c"]) == (
        "not reached: boot, ami of a, b\nnot reached: ami of c"
    )
    assert widest(not_reached([f"ami:{'long' * 5}-{n}" for n in range(300)])) <= 80


@pytest.mark.parametrize("look", [Look(), Look(signs=ASCII), Look(width=40)])
def test_tables_fit_their_width(look: Look) -> None:
    texts = [
        table(RAN * 3, look=look),
        overview([recipe(f"r{n}", done=n, stale="x" * 90) for n in range(6)], look=look),
        end_line(Finished("disk:x", 1.0, "made", "y" * 200), look=look),
    ]
    for text in texts[:1] + texts[2:]:
        assert widest(text) <= look.width
    assert widest(texts[1]) <= max(look.width, 56)


def test_ascii_texts_are_ascii() -> None:
    look = Look(signs=ASCII)
    text = farewell(PRODUCT, RAN, look=look) + up_to_date(PRODUCT, look=look) + end_line(RAN[0], look=look)
    assert text.isascii()
    assert overview([recipe("a", done=1, stale="x" * 90)] * 30, look=look).isascii()

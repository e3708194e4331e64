import pytest

from knitter.report.look import ASCII, Look, Signs
from knitter.report.rows import rows
from knitter.report.run import Running

MIB = 1024 * 1024


def copying(name: str, started: float = 0.0) -> Running:
    return Running(
        name, started, "copying the tree into the file system", 54 * MIB, 100 * MIB, "B", samples=((8.0, 44 * MIB),)
    )


def lines(stages: list[Running], width: int, most: int = 20, look: Look | None = None) -> list[str]:
    look = look or Look(width=width)
    return ["".join(text for text, _ in row) for row in rows(stages, 10.0, look=look, most=most)]


STAGES = [copying("disk:debian-12"), Running("boot:centos-6.9", 4.0, "waiting for SSH")]


def test_at_78_columns() -> None:
    assert lines(STAGES, 78) == [
        "disk:debian-12   copying the tre…  ━━━━━━┄┄┄┄┄┄   54 %     5.0 MiB/s     0:10",
        "boot:centos-6.9  waiting for SSH                                         0:06",
    ]


def test_wide_terminals_show_everything() -> None:
    (line,) = lines([copying("disk:debian-12")], 120)
    for figure in ("copying the tree into the file system", "━━━━━━┄", "54 %", "54.0 MiB", "5.0 MiB/s", "0:10"):
        assert figure in line


@pytest.mark.parametrize("width", [*range(10, 130, 3)])
@pytest.mark.parametrize("signs", [Signs(), ASCII], ids=["unicode", "ascii"])
def test_no_row_is_wider_than_the_terminal(width: int, signs: Signs) -> None:
    look = Look(width=width, signs=signs)
    stages = [*STAGES, Running("snapshot:" + "n" * 80, 1.0, "x" * 300, 7, None, "packages")]
    for line in lines(stages, width, most=2, look=look) + lines(stages, width, look=look):
        assert len(line) < width


def test_narrow_terminals_keep_the_time_and_the_percentage() -> None:
    (line,) = lines([copying("disk:debian-12")], 56)
    assert line.endswith("54 %     0:10")
    assert "MiB" not in line


def test_more_stages_than_lines_are_counted() -> None:
    shown = lines([copying(f"disk:r{n}", started=float(-n)) for n in range(30)], 80, most=5)
    assert [line.split()[0] for line in shown[:4]] == ["disk:r29", "disk:r28", "disk:r27", "disk:r26"]
    assert shown[4:] == ["… and 26 more running"]


def test_what_is_not_bytes_is_counted_with_its_noun() -> None:
    (line,) = lines([Running("packages:x", 0.0, "fetching", 12, 206, "packages")], 100)
    assert "12 package" in line
    assert "5 %" in line


def test_text_from_outside_moves_nothing() -> None:
    (line,) = lines([Running("boot:x", 0.0, "\x1b[2Jtwo\nlines")], 80)
    assert "two lines" in line
    assert "\x1b" not in line


def test_nothing_runs_nothing_is_shown() -> None:
    assert lines([], 80) == []

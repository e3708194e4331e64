import pytest

from knitter.progress import Progress
from knitter.report.look import Look
from knitter.report.run import Finished, Running, finished
from knitter.report.text import clock, columns, human_duration, listing

MIB = 1024 * 1024


def word(done: int | None, text: str = "copying", total: int | None = 100 * MIB, unit: str = "B") -> Progress:
    return Progress("disk:x", text, done, total, unit)


def test_the_rate_is_of_the_last_seconds_only() -> None:
    stage = Running("disk:x", 0.0)
    for second in range(20):  # 1 MiB/s at first, then 3 MiB/s
        done = second if second < 10 else 10 + 3 * (second - 10)
        stage = stage.hear(word(done * MIB), float(second))
    assert stage.rate(19.0) == pytest.approx(3 * MIB)


def test_the_rate_falls_while_nothing_happens() -> None:
    stage = Running("disk:x", 0.0).hear(word(0), 0.0).hear(word(10 * MIB), 1.0)
    assert stage.rate(1.0) == pytest.approx(10 * MIB)
    assert stage.rate(10.0) == pytest.approx(1 * MIB)


def test_work_resumed_in_the_middle_does_not_count_as_speed() -> None:
    stage = Running("disk:x", 0.0).hear(word(90 * MIB), 5.0)
    assert stage.rate(5.1) is None
    assert stage.hear(word(91 * MIB), 6.0).rate(6.0) == pytest.approx(MIB)


def test_a_new_count_begins_a_new_rate() -> None:
    stage = Running("disk:x", 0.0).hear(word(0), 0.0).hear(word(50 * MIB), 4.0).hear(word(0), 5.0)
    assert stage.rate(5.0) is None
    assert stage.hear(word(2 * MIB), 6.0).rate(6.0) == pytest.approx(2 * MIB)


def test_a_thousand_words_a_second_keep_few_samples() -> None:
    stage = Running("disk:x", 0.0)
    for count in range(20_000):
        stage = stage.hear(word(count), count / 1000)
    assert len(stage.samples) < 15
    assert stage.rate(20.0) == pytest.approx(1000, rel=0.01)


@pytest.mark.parametrize(
    ("done", "total", "share"), [(1, 4, 0.25), (5, 4, 1.0), (1, None, None), (None, 4, None), (0, 0, None)]
)
def test_share(done: int | None, total: int | None, share: float | None) -> None:
    assert Running("disk:x", 0.0, done=done, total=total).share() == share


def test_the_reason_said_first_is_kept_and_an_empty_text_changes_nothing() -> None:
    stage = Running("disk:x", 0.0).hear(Progress("disk:x", "", reason="disk.size changed"), 0.0)
    stage = stage.hear(Progress("disk:x", "copying"), 1.0).hear(Progress("disk:x", ""), 2.0)
    assert (stage.reason, stage.text) == ("disk.size changed", "copying")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"action": "made", "reason": "never made"}, Finished("disk:x", 2.0, "made", "never made")),
        ({"action": "adopted", "reason": "never made"}, Finished("disk:x", 2.0, "adopted", "never made")),
        ({"action": "kept", "reason": ""}, Finished("disk:x", 2.0, "up to date")),
        ({"action": "made"}, Finished("disk:x", 2.0, "made", "said before")),
    ],
)
def test_finished_reads_what_the_action_returned(values: dict[str, object], expected: Finished) -> None:
    assert finished(Running("disk:x", 1.0, reason="said before"), values, 3.0) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (6.24, "6.2 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (80, "1 min 20 s"),
        (7500, "2 h 05 min"),
    ],
)
def test_human_duration(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(7.9, "0:07"), (80, "1:20"), (3723, "1:02:03")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_columns_are_aligned_and_cut() -> None:
    rows = [("a", "1.0 s", "x"), ("bbbb", "12.0 s", "a long reason")]
    assert columns(rows, look=Look(width=20), right=frozenset({1})) == "  a      1.0 s  x\n  bbbb  12.0 s  a l…"


def test_columns_of_nothing_are_nothing() -> None:
    assert columns([], look=Look()) == ""


def test_listing_says_how_many_more() -> None:
    assert listing(["a", "b", "c"], most=3) == "a, b, c"
    assert listing(["a", "b", "c"], most=2) == "a, b and 1 more"

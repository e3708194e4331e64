import io
from pathlib import Path

import pytest

from knitter.report.look import ASCII, Look, Signs, clean, is_live, look_of, writable, write


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def on(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding)


@pytest.mark.parametrize(
    ("environ", "colour"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_colour_needs_a_terminal_and_leave(environ: dict[str, str], colour: bool) -> None:
    assert look_of(Screen(), environ).colour is colour
    assert look_of(io.StringIO(), environ).colour is False


@pytest.mark.parametrize(
    ("environ", "live"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "CI": "true"}, False),
        ({"TERM": "xterm", "CI": "false"}, True),
        ({"TERM": "dumb"}, False),
    ],
)
def test_nothing_moves_in_ci_or_on_a_dumb_terminal(environ: dict[str, str], live: bool) -> None:
    assert is_live(Screen(), environ) is live
    assert is_live(io.StringIO(), environ) is False


def test_signs_are_ascii_where_the_locale_or_the_encoding_says_so() -> None:
    assert look_of(on("ascii"), {}).signs == ASCII
    assert look_of(on("utf-8"), {"LC_ALL": "C", "LANG": "de_DE.UTF-8"}).signs == ASCII
    assert look_of(on("utf-8"), {"LC_ALL": "", "LANG": "C.UTF-8"}).signs == Signs()
    assert look_of(on("utf-8"), {}).signs == Signs()
    assert all(sign.isascii() for sign in vars(ASCII).values())


def test_paint_colours_only_where_there_is_colour() -> None:
    assert Look(colour=True).paint("no", "red") == "\x1b[31mno\x1b[0m"
    assert Look(colour=False).paint("no", "red") == "no"


@pytest.mark.parametrize(("room", "fitted"), [(9, "debian-12"), (8, "debian-…"), (1, "…"), (0, "")])
def test_fit_cuts_to_the_room(room: int, fitted: str) -> None:
    assert Look().fit("debian-12", room) == fitted


@pytest.mark.parametrize("room", range(10))
def test_fit_never_exceeds_the_room_in_ascii(room: int) -> None:
    assert len(Look(signs=ASCII).fit("debian-12", room)) <= room


def test_clean_takes_out_what_moves_a_terminal() -> None:
    console = "\x1b[2J\x1b[1;31mpanic\x1b[0m\r\nnext\x1b]0;title\x07\tone\x08\x9b"
    assert clean(console) == "panic\nnext\tone"


def test_what_cannot_be_encoded_is_replaced() -> None:
    assert writable("naïve → x", on("ascii")) == "na?ve ? x"


def test_a_reader_that_went_away_is_no_error() -> None:
    class Gone(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    write(Gone(), "said to nobody")


def test_a_full_disk_stops_nobody_who_writes_there() -> None:
    with Path("/dev/full").open("w") as stream:
        write(stream, "said to nobody")
        write(stream, "and again")

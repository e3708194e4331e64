"""The line of every value of a TOML text."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knitter.recipe.lines import find_lines

TEXT = Path(__file__).with_name("lines.toml").read_text()

LINES = {
    ("top",): 2,
    ("dotted",): 3,
    ("dotted", "key", "with dot.and [bracket]"): 3,
    ("literal key",): 4,
    ("when",): 7,
    ("empty",): 8,
    ("inline", "b", "c", 1): 9,
    ("inline", "d", "e"): 9,
    ("table",): 11,
    ("table", "list"): 12,
    ("table", "list", 0): 13,
    ("table", "list", 1): 14,
    ("table", "list", 1, 1): 15,
    ("table", "list", 2, "e"): 16,
    ("table", "text"): 18,
    ("table", "last"): 22,
    ("many",): 24,
    ("many", 0, "name"): 25,
    ("many", 1): 26,
    ("many", 1, "name"): 27,
    ("many", 1, "sub", "key"): 29,
    ("many", 1, "deep", 0, "key"): 31,
    ("many", 1, "deep", 1, "key"): 33,
    ("spaced", "out", "key"): 35,
}


def _paths(value: Any, path: tuple = ()) -> Iterator[tuple]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in below:
        yield (*path, step)
        yield from _paths(item, (*path, step))


@pytest.mark.parametrize(("path", "line"), LINES.items(), ids=str)
def test_line(path: tuple, line: int) -> None:
    assert find_lines(TEXT)[path] == line


@pytest.mark.parametrize("text", [TEXT, TEXT.replace("\n", "\r\n"), "", "\n\n", "a = 1", "a = [\n]\n[b]\n[[c]]"])
def test_every_value_has_a_line_and_nothing_else_has(text: str) -> None:
    tables_in_headers = {("spaced",)}
    assert set(find_lines(text)) == set(_paths(tomllib.loads(text))) - tables_in_headers

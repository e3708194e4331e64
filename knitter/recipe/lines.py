"""Where in a TOML text each value is written.  tomllib does not say, and an error without a line is half an error."""

import re
import tomllib
from collections import Counter
from typing import Final

from knitter.recipe.base import Step

_TOKEN: Final = re.compile(
    r'(?s)(?P<text>"""(?:\\.|(?!""").)*"{3,5}|' + r"'''.*?'{3,5}" + r'|"(?:\\.|[^"\\\n])*"' + r"|'[^'\n]*')"
    r"|(?P<comment>#[^\n]*)|(?P<mark>[\[\]{},=.\n])|(?P<bare>[^\s\[\]{},=.#\"']+)"
)


def find_lines(text: str) -> dict[tuple[Step, ...], int]:
    """Path of each table, key and list element of a valid TOML text -> its line, from 1."""
    return _Reader(text).read()


class _Reader:
    """Walks the tokens once; trusts that tomllib has accepted the text."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, int]] = []
        line, end = 1, 0
        for match in _TOKEN.finditer(text):
            line += text.count("\n", end, match.start())
            end = match.start()
            if match.lastgroup != "comment":
                self._tokens.append((match[0], line))
        self._next = 0
        self._lines: dict[tuple[Step, ...], int] = {}
        self._lengths: Counter[tuple[Step, ...]] = Counter()
        """Of each list of tables, so far."""

    def read(self) -> dict[tuple[Step, ...], int]:
        table: tuple[Step, ...] = ()
        while self._skip_newlines():
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _header(self) -> tuple[Step, ...]:
        """`[a.b]` or `[[a.b]]`: the table that the next keys are in."""
        line = self._take("[")
        is_list = self._peek() == "["
        if is_list:
            self._take("[")
        *outer, last = self._key()
        path: tuple[Step, ...] = ()
        for part in outer:
            path = self._newest((*path, part))
        path = (*path, last)
        self._note(path, line)
        if is_list:
            self._lengths[path] += 1
            self._take("]")
        self._take("]")
        path = self._newest(path)
        self._note(path, line)
        return path

    def _newest(self, path: tuple[Step, ...]) -> tuple[Step, ...]:
        return (*path, self._lengths[path] - 1) if path in self._lengths else path

    def _pair(self, table: tuple[Step, ...]) -> None:
        line = self._tokens[self._next][1]
        path = table
        for part in self._key():
            path = (*path, part)
            self._note(path, line)
        self._take("=")
        self._value(path)

    def _key(self) -> list[str]:
        """The parts of a dotted key."""
        parts = [self._part()]
        while self._peek() == ".":
            self._take(".")
            parts.append(self._part())
        return parts

    def _part(self) -> str:
        text = self._tokens[self._next][0]
        self._next += 1
        return str(tomllib.loads(f"key = {text}")["key"]) if text[0] in "\"'" else text

    def _value(self, path: tuple[Step, ...]) -> None:
        if self._peek() == "[":
            self._list(path)
        elif self._peek() == "{":
            self._table(path)
        else:
            while self._peek() not in {"", "\n", ",", "]", "}"}:  # a date has a space, a number a dot
                self._next += 1

    def _list(self, path: tuple[Step, ...]) -> None:
        self._take("[")
        index = 0
        while self._skip_newlines() and self._peek() != "]":
            self._note((*path, index), self._tokens[self._next][1])
            self._value((*path, index))
            self._skip_newlines()
            if self._peek() == ",":
                self._take(",")
            index += 1
        self._take("]")

    def _table(self, path: tuple[Step, ...]) -> None:
        self._take("{")
        while self._peek() != "}":
            self._pair(path)
            if self._peek() == ",":
                self._take(",")
        self._take("}")

    def _note(self, path: tuple[Step, ...], line: int) -> None:
        self._lines.setdefault(path, line)

    def _peek(self) -> str:
        return self._tokens[self._next][0] if self._next < len(self._tokens) else ""

    def _take(self, mark: str) -> int:
        token, line = self._tokens[self._next]
        assert token == mark, f"line {line}: {token!r} where {mark!r} was expected"
        self._next += 1
        return line

    def _skip_newlines(self) -> bool:
        """Go on to the next token that is none; False at the end."""
        while self._peek() == "\n":
            self._next += 1
        return self._next < len(self._tokens)

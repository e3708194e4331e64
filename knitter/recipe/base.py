"""What all recipe models share: the section, the forms of its texts, and how it says what is wrong."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from knitter.recipe import docstrings
from knitter.units import format_size, parse_size

Step = str | int
"""A key of a table, or an index of a list."""


@dataclass(frozen=True)
class Problem:
    """What is wrong with the value at *path*, seen from the section that found it."""

    path: tuple[Step, ...]
    text: str
    """What is allowed, and why; the value found is shown beside it."""


class ProblemsError(ValueError):
    """All that a section found wrong with itself."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{path_text(problem.path)}: {problem.text}" for problem in problems))
        self.problems = problems


class Section(BaseModel):
    """A frozen part of a recipe; a key it does not know is an error, and so is a value of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        made = handler(core)
        properties = handler.resolve_ref_schema(made)["properties"]
        for name, text in docstrings.of_fields(cls).items():
            if name in properties:
                properties[name]["description"] = text
        return made

    def _problems(self) -> Iterator[Problem]:
        """What no key alone can tell: each section says it of its own keys."""
        yield from ()

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if found := tuple(self._problems()):
            raise ProblemsError(found)
        return self


@dataclass(frozen=True)
class Form:
    """How a text must look: a pattern for the whole of it, and the same in words, which follow `must be`."""

    pattern: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {"pattern": f"^(?:{self.pattern})$"}

    def _check(self, text: str) -> str:
        if re.fullmatch(self.pattern, text) is None:
            raise ValueError(f"must be {self.words}")
        return text


def path_text(path: tuple[Step, ...]) -> str:
    """A path as TOML writes it, with indices from 0: `disk.partitions[2].size`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{_key_text(step)}" for step in path).removeprefix(".")


def _key_text(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def twice(path: tuple[Step, ...], values: tuple[str, ...], key: str = "") -> Iterator[Problem]:
    """A problem for each of *values*, a list at *path*, that was there before."""
    for index, value in enumerate(values):
        if value and value in values[:index]:
            yield Problem(
                (*path, index, *([key] if key else [])),
                f"is there twice, first in {path_text(path)}[{values.index(value)}]",
            )


SIZE_PATTERN: Final = r"^[0-9]+\s*(B|KiB|MiB|GiB|TiB)$"
"""What a JSON Schema can say of it."""
_SIZE_WORDS: Final = 'must be a size in quotes, such as "8GiB"; the units are B, KiB, MiB, GiB and TiB'


def _size(value: Any) -> int:
    try:
        return parse_size(value)
    except (ValueError, AttributeError):
        raise ValueError(_SIZE_WORDS) from None


def _size_or_rest(value: Any) -> Any:
    return value if value == "rest" else _size(value)


Size = Annotated[int, BeforeValidator(_size), WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN})]
"""Bytes, written with a unit: `8GiB`."""

SizeOrRest = Annotated[
    int | Literal["rest"],
    BeforeValidator(_size_or_rest),
    WithJsonSchema({"type": "string", "pattern": f"{SIZE_PATTERN}|^rest$"}),
]
"""Bytes, or all that is left."""

Line = Annotated[str, Form(r"[^\x00-\x1f\x7f]*", "one line of text, without control characters")]

_PART: Final = r"(?!\.{1,2}(/|$))[!-.0-~]{1,255}"
OWN_PATH: Final = rf"(?!.{{1025}}){_PART}(/{_PART})*"
"""A relative path that every file system can hold: ASCII, without space, . and .. ."""

ImagePath = Annotated[
    str,
    Form(
        rf"/({OWN_PATH})?",
        "an absolute path in the image, such as /srv/data: ASCII, no space, no . or .. in it, no / at its end",
    ),
]

OwnPath = Annotated[
    str, Form(OWN_PATH, "a path inside the recipe's folder, such as setup.sh: not absolute, ASCII, no space, no ..")
]

AccountName = Annotated[
    str,
    Form(
        r"[a-z_][a-z0-9_-]{0,31}",
        "a name of at most 32 lower-case letters, digits, - and _, a letter or _ first",
    ),
]


def at_least(size: int, reason: str) -> str:
    """Words for a size that is too small."""
    return f"must be at least {format_size(size)}: {reason}"

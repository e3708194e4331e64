"""What a recipe's author did wrong, in the author's words: file, line, path, what was found, what is allowed."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from knitter.errors import RecipeError
from knitter.recipe import docstrings
from knitter.recipe.base import Problem, ProblemsError, Section, Step, path_text
from knitter.recipe.model import written_keys
from knitter.recipe.source import Source, Table
from knitter.suggest import closest, nearest

_TYPES: Final = {
    "string_type": 'must be text, in quotes: "..."',
    "int_type": "must be a whole number",
    "bool_type": "must be true or false, without quotes",
    "tuple_type": "must be a list: [...]",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}
"""pydantic's error types, and what is allowed."""

_TAGS: Final = ("kind", "family")


def refuse(sources: tuple[Source, ...], table: Table, problems: Iterable[Problem]) -> RecipeError:
    """The error that says every problem of a recipe, one per line.  *sources*: the first ancestor first."""
    lines = [text for *_, text in sorted({_line(sources, table, problem) for problem in problems})]
    count = f"{len(lines)} problems" if len(lines) > 1 else "a problem"
    return RecipeError(
        f"recipe {sources[-1].directory.name!r} has {count}",
        details="\n".join(lines),
        hint="docs/recipe.md lists every key and what it may be",
    )


def explain(error: ValidationError, model: type[Section]) -> Iterator[Problem]:
    """Pydantic's errors as problems, each with its path from *model*'s top."""
    for detail in error.errors(include_url=False):
        path, section = _walk(model, detail["loc"])
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, ProblemsError):
            yield from (Problem((*path, *problem.path), problem.text) for problem in cause.problems)
        elif detail["type"] == "union_tag_invalid":
            tag = detail["ctx"]["discriminator"].strip("'")
            yield Problem((*path, tag), _choice(detail["ctx"]["tag"], detail["ctx"]["expected_tags"]))
        else:
            yield Problem(path, _words(detail, section))


def _words(detail: ErrorDetails, section: type[Section]) -> str:
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            return f"there is no such key; {nearest(str(detail['loc'][-1]), written_keys(section))}"
        case "missing":
            return f"is missing: {' '.join(docstrings.of_fields(section)[str(detail['loc'][-1])].split())}"
        case "literal_error":
            return _choice(detail["input"], context["expected"])
        case "value_error":
            return str(context["error"])
        case kind:
            return _TYPES[kind].format(**context) if kind in _TYPES else detail["msg"]


def _choice(found: Any, expected: str) -> str:
    """`'gpt' or 'msdos'` as the allowed values, and the one that was probably meant."""
    allowed = re.findall("'([^']*)'", expected)
    near = closest(found, allowed) if isinstance(found, str) else ""
    return "; ".join(filter(None, [f"allowed: {', '.join(json.dumps(value) for value in allowed)}", near]))


def _walk(model: type[Section], loc: tuple[Step, ...]) -> tuple[tuple[Step, ...], type[Section]]:
    """Pydantic's location without the names of union members, and the section it lies in."""
    section, path = model, list[Step]()
    inside: dict[str, type[Section]] = {"": model}
    for step in loc:
        if isinstance(step, int):
            path.append(step)
        elif len(inside) > 1 and step in inside:
            section, inside = inside[step], {"": inside[step]}
        else:
            section = inside.get("", section)
            inside = _members(section.model_fields.get(step))
            path.append(step)
    return tuple(path), section


def _members(field: FieldInfo | None) -> dict[str, type[Section]]:
    """The sections that a field holds: one, by the name ``, or the members of a union, by their tag."""
    found = list(_sections(field.annotation)) if field else []
    if len(found) == 1:
        return {"": found[0]}
    return {get_args(section.model_fields[_tag(section)].annotation)[0]: section for section in found}


def _tag(section: type[Section]) -> str:
    """The key that tells the members of a union apart."""
    return next(name for name in _TAGS if name in section.model_fields)


def _sections(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections(argument)


def _line(sources: tuple[Source, ...], table: Table, problem: Problem) -> tuple[int, int, str]:
    """One line of the error, behind what orders it: the file, the nearest first, and the line in it."""
    source, path = _origin(sources, table, problem.path)
    line = next((source.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in source.lines), 0)
    found = _look(table, problem.path)
    value = f" = {_short(found)}" if isinstance(found, str | int | float) else ""
    text = f"{source.where(line)}: {path_text(path)}{value}: {problem.text}"
    return -sources.index(source), line, text


def _origin(sources: tuple[Source, ...], table: Table, path: tuple[Step, ...]) -> tuple[Source, tuple[Step, ...]]:
    """Which file wrote the value at *path*, and its path there; of a value that nobody wrote, the nearest around it."""
    nearest_first = sources[::-1]
    if path[:2] == ("packages", "install") and len(path) == 3:
        return _origin_of_package(nearest_first, _look(table, path))
    # A list is one file's, so what lies in it is looked for in that file alone.
    whole = next((index for index, step in enumerate(path) if isinstance(step, int)), len(path))
    written = (source for end in range(whole, 0, -1) for source in nearest_first if path[:end] in source.lines)
    return next(written, nearest_first[0]), path


def _origin_of_package(sources: tuple[Source, ...], package: Any) -> tuple[Source, tuple[Step, ...]]:
    """The lists of a recipe and its parents become one, so the index there tells nothing."""
    for source in sources:
        written = source.table.get("packages", {}).get("install", [])
        if package in written:
            return source, ("packages", "install", written.index(package))
    raise AssertionError(package)


def _look(table: Any, path: tuple[Step, ...]) -> Any:
    """The value at *path*, None if there is none: TOML has no null."""
    for step in path:
        try:
            table = table[step]
        except (KeyError, IndexError, TypeError):
            return None
    return table


def _short(value: Any) -> str:
    """The value as it is written, but no longer than fits, and without what may be a password."""
    text = json.dumps(re.sub(r"//[^/@\s]*@", "//...@", value) if isinstance(value, str) else value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."

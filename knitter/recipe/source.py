"""Recipe files: a recipe and the ones it extends, read, and laid over each other."""

import os
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path
from typing import Any, Final

from knitter.errors import RecipeError
from knitter.recipe.base import Step
from knitter.recipe.lines import find_lines
from knitter.suggest import nearest

FILE: Final = "recipe.toml"

Table = dict[str, Any]
"""A TOML table as tomllib gives it."""


@dataclass(frozen=True)
class Source:
    """One recipe.toml."""

    path: Path
    text: str
    table: Table

    @property
    def directory(self) -> Path:
        """The recipe's folder."""
        return self.path.parent

    @cached_property
    def lines(self) -> dict[tuple[Step, ...], int]:
        """Where each value is written."""
        return find_lines(self.text)

    def where(self, line: int | None = None) -> str:
        """The file as an editor opens it, from the current directory if it is below."""
        path = self.path.relative_to(Path.cwd()) if self.path.is_relative_to(Path.cwd()) else self.path
        return f"{path}:{line}" if line else f"{path}"


def find_names(recipes: Path) -> tuple[str, ...]:
    """The folders in *recipes*, sorted.  Those that begin with `.` or `_` are no recipes; `_` ones may be extended."""
    try:
        with os.scandir(recipes) as entries:
            return tuple(sorted(entry.name for entry in entries if entry.name[0] not in "._" and entry.is_dir()))
    except FileNotFoundError:
        return ()


def read_chain(recipes: Path, name: str) -> tuple[Source, ...]:
    """The recipe *name* and all it extends, the first ancestor first.  Raises RecipeError."""
    chain = [_read(recipes, name)]
    names = [name]
    while (parent := chain[0].table.get("extends")) is not None:
        child = chain[0]
        where = child.where(child.lines.get(("extends",)))
        if not isinstance(parent, str):
            raise RecipeError(f"{where}: extends is not the name of a recipe", hint='write extends = "name", only one')
        if parent in names:
            circle = " -> ".join([*names[names.index(parent) :], parent])
            raise RecipeError("recipes extend each other in a circle", details=f"{where}: {circle}")
        if not _folder(recipes, parent).is_dir():
            raise RecipeError(
                f"{where}: there is no recipe {parent!r} to extend", hint=nearest(parent, find_names(recipes))
            )
        chain.insert(0, _read(recipes, parent))
        names.append(parent)
    return tuple(chain)


def merge(tables: Iterable[Table]) -> Table:
    """One table of all, later ones over earlier ones.

    Tables merge key by key and lists replace.  `packages.install` adds to the parent's, less what the child's
    `packages.remove` names.
    """
    return reduce(_over, tables)


def _over(parent: Table, child: Table) -> Table:
    merged = _deep(parent, child)
    inherited, added = _packages(parent, "install"), _packages(child, "install")
    removed = _packages(child, "remove")
    if inherited and all(isinstance(value, list) for value in (inherited, added, removed)):
        kept = [package for package in inherited if package not in removed]
        install = kept + [package for package in added if package not in kept]
        merged["packages"] = merged["packages"] | {"install": install}
    return merged


def _deep(parent: Table, child: Table) -> Table:
    merged = dict(parent)
    for key, value in child.items():
        below = parent.get(key)
        merged[key] = _deep(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _packages(table: Table, key: str) -> Any:
    """A list of the packages section; empty if it is not there.  What is no list stays, for the model to refuse."""
    packages = table.get("packages", {})
    return packages.get(key, []) if isinstance(packages, dict) else None


def _folder(recipes: Path, name: str) -> Path:
    """The folder of a recipe; one that cannot exist for a name that is no folder's."""
    return recipes / name if name and Path(name).name == name and name[0] != "." else recipes / ".no-such-recipe"


def _read(recipes: Path, name: str) -> Source:
    folder = _folder(recipes, name)
    if not folder.is_dir():
        raise RecipeError(f"there is no recipe {name!r} in {recipes}", hint=nearest(name, find_names(recipes)))
    path = folder.absolute() / FILE
    return _parse(path, _text(path))


def _text(path: Path) -> str:
    unread = Source(path, "", {})
    try:
        data = path.read_bytes()
        return data.decode()
    except FileNotFoundError:
        hint = "write one, or remove the folder; one whose name begins with _ is no recipe"
        raise RecipeError(f"there is no {unread.where()}", hint=hint) from None
    except OSError as error:
        raise RecipeError(f"{unread.where()} cannot be read", details=error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise RecipeError(f"{unread.where(line)}: not UTF-8 text") from None


def _parse(path: Path, text: str) -> Source:
    try:
        return Source(path, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        # `Expected ... (at line 3, column 5)`; 3.11 has the line nowhere else
        found = re.fullmatch(r"(?s)(.*) \(at (?:line (\d+), column \d+|end of document)\)", str(error))
        reason, line = (found[1], found[2]) if found else (str(error), None)
        where = Source(path, "", {}).where(int(line) if line else len(text.splitlines()))
        raise RecipeError(f"{where}: not TOML: {reason}", hint="https://toml.io says how TOML is written") from None

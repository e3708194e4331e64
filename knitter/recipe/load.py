"""Recipes from files: `recipes/<name>/recipe.toml`, and the recipes it extends."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from knitter.recipe.base import Problem
from knitter.recipe.model import NOT_WRITTEN, Recipe
from knitter.recipe.refusal import explain, refuse
from knitter.recipe.source import Source, Table, find_names, merge, read_chain


def names(recipes: Path) -> tuple[str, ...]:
    """The recipes in the folder *recipes*, sorted; reads none of them.

    Every sub-folder is one, even without recipe.toml, so that `load` can say what is wrong with it; those whose names
    begin with `.` or `_` are not.  A recipe `_base` is never built, but may be extended.
    """
    return find_names(recipes)


def load(recipes: Path, name: str) -> Recipe:
    """The recipe *name* of the folder *recipes*, complete and checked.

    Raises RecipeError, which names every problem with its file, line and path.  What keys and sections say of each
    other is judged only once each of them is good by itself, and the files it names last.
    """
    sources = read_chain(recipes, name)
    table = merge(source.table for source in sources)
    recipe, problems = _validate(sources, table)
    if recipe is not None:
        problems = list(_missing_files(recipe))
    if recipe is None or problems:
        raise refuse(sources, table, problems)
    return recipe


def _validate(sources: tuple[Source, ...], table: Table) -> tuple[Recipe | None, list[Problem]]:
    problems = [Problem((key,), "is no key: the recipe's folder says it") for key in NOT_WRITTEN if key in table]
    directories = tuple(source.directory for source in sources)
    given = {"name": directories[-1].name, "directory": directories[-1], "parents": directories[:-1]}
    values = {key: _tuples(value) for key, value in table.items() if key != "extends"}
    try:
        recipe = Recipe.model_validate(values | given)
    except ValidationError as error:
        return None, problems + list(explain(error, Recipe))
    return (None if problems else recipe), problems


def _tuples(value: Any) -> Any:
    """TOML's lists as tuples: nothing in a recipe changes."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _missing_files(recipe: Recipe) -> Iterator[Problem]:
    """What the recipe names and no folder of it or its parents has."""
    for path, file in recipe.packages.key_files.items():
        if not file.startswith("/") and not recipe.path_of(file).is_file():
            yield Problem(("packages", *path), _nowhere(recipe, "file"))
    for index, script in enumerate(recipe.system.scripts):
        if not recipe.path_of(script).is_file():
            yield Problem(("system", "scripts", index), _nowhere(recipe, "file"))
    for index, owned in enumerate(recipe.system.files):
        overlays = [layer / "files" / owned.path.lstrip("/") for layer in recipe.layers]
        if not any(path.is_symlink() or path.exists() for path in overlays):
            yield Problem(("system", "files", index, "path"), _nowhere(recipe, "path", below="files/"))


def _nowhere(recipe: Recipe, what: str, *, below: str = "") -> str:
    folders = ", ".join(f"{layer.name}/{below}" for layer in reversed(recipe.layers))
    return f"there is no such {what} in {folders}"

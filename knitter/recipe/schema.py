"""The JSON Schema of recipe.toml, so that editors complete and check it."""

import json
from pathlib import Path
from typing import Any, Final

from knitter.receipt import write_atomically
from knitter.recipe import reference
from knitter.recipe.base import SIZE_PATTERN
from knitter.recipe.model import NOT_WRITTEN, Recipe
from knitter.units import format_size

REFERENCE: Final = "recipe.md"

_EXTENDS: Final = {
    "type": "string",
    "description": "Another recipe of the same folder.  Tables merge key by key; packages.install adds to the "
    "parent's, other lists replace it; the parent's files/ are laid first, this recipe's over them.",
}
"""The one key of the file that is not the image's but the file's."""


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a recipe file."""
    whole: dict[str, Any] = _as_written(Recipe.model_json_schema())
    written = {key: value for key, value in whole["properties"].items() if key not in NOT_WRITTEN}
    families = written["packages"].pop("oneOf")
    del written["packages"]["discriminator"]
    # What a parent says need not be said again: neither the release, nor the family.
    for family in families:
        del whole["$defs"][family["$ref"].rpartition("/")[2]]["required"]
    written["packages"] = {"anyOf": families} | written["packages"]
    packages = {"required": ["release"], "anyOf": [families[0], {"required": ["family"]}]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "recipe.toml of knitter",
        "type": "object",
        "properties": {"extends": _EXTENDS, **written},
        "additionalProperties": False,
        "anyOf": [{"required": ["extends"]}, {"required": ["packages"], "properties": {"packages": packages}}],
        "$defs": whole["$defs"],
    }


def text() -> str:
    """The schema as docs/recipe.schema.json holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def write(path: Path) -> None:
    """Write the schema to *path* and the reference for people beside it, each whole or not at all."""
    write_atomically(path, text().encode())
    write_atomically(path.with_name(REFERENCE), reference.text(schema()).encode())


def _as_written(node: Any) -> Any:
    """Pydantic's schema as TOML needs it: no null, sizes as text, no titles, no defaults that are tables."""
    if isinstance(node, list):
        return [_as_written(item) for item in node]
    if not isinstance(node, dict):
        return node
    if {"type": "null"} in node.get("anyOf", ()):
        node = node["anyOf"][0] | {key: value for key, value in node.items() if key not in {"anyOf", "default"}}
    if isinstance(node.get("default"), int) and node.get("pattern", "").startswith(SIZE_PATTERN):
        node = node | {"default": format_size(node["default"])}
    if _is_table(node.get("default")):
        node = {key: value for key, value in node.items() if key != "default"}
    return {key: _as_written(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))}


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(_is_table(item) for item in value))

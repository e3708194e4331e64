"""What editors and people are told is what the model takes."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from knitter.recipe import reference, schema
from knitter.recipe.load import names

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = schema.schema()
FULL = Path(__file__).with_name("full.toml")
RECIPES = [
    FULL,
    FULL.with_name("redhat.toml"),
    *(ROOT / "recipes" / name / "recipe.toml" for name in names(ROOT / "recipes")),
]


def _errors(text: str) -> list[str]:
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(tomllib.loads(text))]


def test_committed_schema_is_true() -> None:
    assert (ROOT / "docs/recipe.schema.json").read_text() == schema.text(), "run `doit schema`"


def test_committed_reference_is_true() -> None:
    assert (ROOT / "docs/recipe.md").read_text() == reference.text(SCHEMA), "run `doit schema`"


def test_write(tmp_path: Path) -> None:
    schema.write(tmp_path / "docs/recipe.schema.json")
    assert json.loads((tmp_path / "docs/recipe.schema.json").read_text()) == SCHEMA
    assert (tmp_path / "docs/recipe.md").read_text() == reference.text(SCHEMA)


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_good_recipes_pass(path: Path) -> None:
    assert _errors(path.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        'packages.release = "bookworm"\ndescripton = "x"',
        'packages.release = "bookworm"\nname = "x"',
        'packages.install = ["vim"]',
        'packages.release = "bookworm"\ndisk.size = 8',
        'packages.release = "bookworm"\ndisk.size = "8GB"',
        'packages.release = "bookworm"\ndisk.partitions = [{ kind = "esp", filesystem = "ext4" }]',
        'packages.release = "bookworm"\ndisk.partitions = [{ mount = "data", size = "rest" }]',
        'packages.release = "bookworm"\npackages.install = ["Vim"]',
        'packages.release = "bookworm"\npackages.groups = ["core"]',
        'packages.release = "9"\npackages.family = "redhat"\npackages.recommends = true',
        'extends = "other"\nboot.firmware = "coreboot"',
    ],
)
def test_bad_recipes_fail(text: str) -> None:
    assert _errors(text)


@pytest.mark.parametrize("text", ['extends = "other"', 'extends = "other"\npackages.install = ["vim"]'])
def test_a_child_needs_no_release(text: str) -> None:
    assert _errors(text) == []


def _fields(node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, definition in [("", node), *node["$defs"].items()]:
        for key, field in definition["properties"].items():
            yield f"{name}.{key}", field


def test_every_key_is_described() -> None:
    assert [name for name, field in _fields(SCHEMA) if not field.get("description")] == []


def test_sizes_are_shown_as_they_are_written() -> None:
    assert SCHEMA["$defs"]["Disk"]["properties"]["size"]["default"] == "8GiB"
    assert "null" not in schema.text()


def test_reference_has_every_section_and_key() -> None:
    text = reference.text(SCHEMA)
    assert text.count("\n## ") == len(SCHEMA["$defs"])
    assert [name for name, _ in _fields(SCHEMA) if f"| `{name.split('.')[1]}` |" not in text] == []
    assert "| `release` | text | required |" in text
    assert "| `size` | size | `8GiB` |" in text

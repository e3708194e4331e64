"""The reference of recipe.toml for people: one table for each section, from the same schema that editors use."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from knitter.receipt import write_atomically
from knitter.recipe.schema import schema

_TITLES: Final = {
    "packages": "Packages",
    "packages.repositories": "Repository",
    "system": "System",
    "system.files": "File",
    "system.users": "User",
    "disk": "Disk",
    'disk.partitions, kind = "bios-boot"': "BiosBoot",
    'disk.partitions, kind = "esp"': "Esp",
    'disk.partitions, kind = "swap"': "Swap",
    'disk.partitions, kind = "filesystem"': "Filesystem",
    "boot": "Boot",
    "check": "Check",
    "check.probes": "Probe",
    "ami": "Ami",
    "ami.volume": "BlockDevice",
}
"""Each table of the file, in the order of the stages that read them, and its definition in the schema."""

_KINDS: Final = {"string": "text", "boolean": "true or false", "integer": "number"}
"""JSON Schema's types in a recipe author's words; all others are tables."""

_HEAD: Final = """\
# recipe.toml

Made from the model by `doit schema`.  Sizes are text with a unit: `"8GiB"`; the units are B, KiB, MiB, GiB and TiB.
A key that is not listed here is an error.
"""


def text() -> str:
    """The reference as docs/recipe.md holds it, in Markdown."""
    whole = schema()
    definitions = whole["$defs"]
    parts = [_HEAD, "\n".join(_table(whole, required=()))]
    for title, name in _TITLES.items():
        definition = definitions[name]
        required = definition.get("required", ()) if name != "Packages" else ("release",)
        parts.append(f"\n## {title}\n\n{definition['description']}\n")
        parts.append("\n".join(_table(definition, required=required)))
    return "\n".join(parts) + "\n"


def write(path: Path) -> None:
    """Write the reference to *path*, whole or not at all."""
    write_atomically(path, text().encode())


def _table(definition: Mapping[str, Any], *, required: tuple[str, ...]) -> Iterator[str]:
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for key, field in definition["properties"].items():
        default = "required" if key in required else _default(field)
        yield f"| `{key}` | {_type(field)} | {default} | {' '.join(field['description'].split())} |"


def _type(field: Mapping[str, Any]) -> str:
    if values := field.get("enum", [field["const"]] if "const" in field else []):
        return ", ".join(f"`{value}`" for value in values)
    if "GiB" in field.get("pattern", ""):
        return "size"
    if field.get("type") == "array":
        return f"list of {_KINDS.get(field['items'].get('type'), 'table')}s"
    return _KINDS.get(field.get("type", ""), "table")


def _default(field: Mapping[str, Any]) -> str:
    value = field.get("default")
    if value in (None, "", []):
        return ""
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"

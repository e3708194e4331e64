"""The reference of recipe.toml for people: one table for each section, from the schema that editors use."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

_TITLES: Final = {
    'packages, family = "debian"': "DebianPackages",
    'packages.repositories, family = "debian"': "Repository",
    'packages, family = "redhat"': "RedhatPackages",
    'packages.repositories, family = "redhat"': "RedhatRepository",
    'packages.keys, family = "redhat"': "SigningKey",
    "system": "System",
    "system.files": "File",
    "system.users": "User",
    "disk": "Disk",
    'disk.partitions, kind = "bios-boot"': "BiosBoot",
    'disk.partitions, kind = "esp"': "Esp",
    'disk.partitions, kind = "swap"': "Swap",
    'disk.partitions, kind = "filesystem"': "Filesystem",
    'disk.partitions, kind = "lvm"': "Lvm",
    'disk.partitions.volumes, kind = "filesystem"': "VolumeFilesystem",
    'disk.partitions.volumes, kind = "swap"': "VolumeSwap",
    "boot": "Boot",
    "check": "Check",
    "check.probes": "Probe",
    "ami": "Ami",
    "ami.volume": "BlockDevice",
}
"""Each table of the file, in the order of the stages that read them, and its definition in the schema."""

_BY_SOMEBODY: Final = {"DebianPackages": ("release",), "RedhatPackages": ("family", "release")}
"""What a section must say unless a parent does: the schema cannot require it."""

_KINDS: Final = {"string": "text", "boolean": "true or false", "integer": "number"}
"""JSON Schema's types in a recipe author's words; all others are tables."""

_HEAD: Final = """\
# recipe.toml

Made from the model by `doit schema`.  Sizes are text with a unit: `"8GiB"`; the units are B, KiB, MiB, GiB and TiB.
A key that is not listed here is an error.
"""


def text(schema: Mapping[str, Any]) -> str:
    """The reference in Markdown, from the JSON Schema of recipe files."""
    definitions = schema["$defs"]
    parts = [_HEAD, "\n".join(_table(schema, required=()))]
    for title, name in _TITLES.items():
        definition = definitions[name]
        required = definition.get("required", _BY_SOMEBODY.get(name, ()))
        parts.append(f"\n## {title}\n\n{definition['description']}\n")
        parts.append("\n".join(_table(definition, required=required)))
    return "\n".join(parts) + "\n"


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

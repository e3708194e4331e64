"""What all recipe models share."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

from knitter.units import parse_size


class Section(BaseModel):
    """A frozen part of a recipe; a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _size(value: Any) -> Any:
    if isinstance(value, str):
        return parse_size(value)
    raise ValueError(f"{value!r} is not a size such as 8GiB; write it as text, with its unit")


Size = Annotated[
    int,
    BeforeValidator(_size),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+\s*(B|KiB|MiB|GiB|TiB)$"}),
]
"""Bytes, written with a unit: `8GiB`."""

"""What the models' fields say of themselves, read from their source.

Pydantic can do it too (use_attribute_docstrings), but then for every model at every import: a tenth of a second of
`doit list`.
"""

import ast
import inspect
import textwrap
from itertools import pairwise


def of_fields(model: type) -> dict[str, str]:
    """Field of *model* -> the docstring under it, its ancestors' fields included."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if one.__module__.startswith("knitter."):
            found |= _of_class(one)
    return found


def _of_class(one: type) -> dict[str, str]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
    found = {}
    assert isinstance(definition, ast.ClassDef)
    for field, text in pairwise(definition.body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                found[name] = inspect.cleandoc(said)
            case _:
                pass  # a method, a docstring, a field that says nothing
    return found

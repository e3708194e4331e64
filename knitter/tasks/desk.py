"""Tasks that build nothing: the overview, the lab, the schema."""

import shlex
import sys
from collections.abc import Iterator
from functools import partial

from knitter.lab import service
from knitter.recipe import schema
from knitter.report import how_called, look_of, overview, refusing
from knitter.site import Site
from knitter.tasks.corridor import PLAIN, Task, rows


def overview_tasks(site: Site) -> Iterator[Task]:
    """Bare `doit`."""
    doc = "what is built, what is stale, what to run next"
    yield {"basename": "overview", "actions": [refusing(partial(_overview, site))], "doc": doc, **PLAIN}


def lab_tasks(site: Site) -> Iterator[Task]:
    """`doit lab` and `doit lab:stop`."""
    doc = 'print what points an AWS client at the lab: eval "$(doit lab)"'
    yield {"basename": "lab", "actions": [refusing(partial(_lab, site))], "doc": doc, **PLAIN}
    doc = "end the lab; what it holds stays on disk"
    yield {"basename": "lab:stop", "actions": [refusing(partial(_stop, site))], "doc": doc, **PLAIN}


def schema_tasks(site: Site) -> Iterator[Task]:
    """`doit schema`."""
    doc = "write docs/recipe.schema.json, for editors"
    yield {"basename": "schema", "actions": [refusing(partial(_schema, site))], "doc": doc, **PLAIN}


def _overview(site: Site) -> None:
    print(overview(list(rows(site)), look=look_of(sys.stdout), doit=how_called()))


def _lab(site: Site) -> None:
    print(*(f"unset {name}" for name in service.UNSET), sep="\n")
    for name, value in service.environment(service.ensure(site.lab), site.settings.region).items():
        print(f"export {name}={shlex.quote(value)}")


def _stop(site: Site) -> None:
    print("the lab is stopped" if service.stop(site.lab) else "no lab is running")


def _schema(site: Site) -> None:
    path = site.root / "docs" / "recipe.schema.json"
    schema.write(path)
    print(f"wrote {path}")

"""Tasks that build nothing: the overview, the lab, the schema."""

import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial

from knitter.recipe import schema
from knitter.report import how_called, look_of, overview, refusing
from knitter.site import Site
from knitter.tasks.corridor import PLAIN, Task, fitting, room, rows


def overview_task(site: Site) -> Task:
    """Bare `doit`."""
    return plain(site, "overview", _overview, "what is built, what is stale, what to run next")


def lab_task(site: Site) -> Task:
    """`eval "$(doit lab)"`."""
    return plain(site, "lab", _lab, 'point AWS clients at the lab: eval "$(doit lab)"')


def lab_stop_task(site: Site) -> Task:
    """`doit lab:stop`."""
    return plain(site, "lab:stop", _stop, "end the lab; what it holds stays on disk")


def schema_task(site: Site) -> Task:
    """`doit schema`."""
    return plain(site, "schema", _schema, "write docs/recipe.schema.json and docs/recipe.md")


def leave_cloud(site: Site) -> Callable[[], None]:
    """What ends the surrogates of this run; tells what is removed, and what is still there."""

    def leave() -> None:
        left = site.pool.close(tell=lambda text: print(text, file=sys.stderr, flush=True))
        for one in left:
            print(one, file=sys.stderr)

    return leave


def plain(site: Site, name: str, action: Callable[..., None], doc: str, params: Sequence[Task] = ()) -> Task:
    """A task that prints for itself; doit hands the options *params* to *action* by name."""
    return {
        "basename": name,
        "actions": [refusing(partial(action, site))],
        "doc": fitting(doc, room(site)),
        "params": list(params),
        **PLAIN,
    }


def _overview(site: Site) -> None:
    print(overview(list(rows(site)), look=look_of(sys.stdout), doit=how_called()))


def _lab(site: Site) -> None:
    from knitter.lab import service  # noqa: PLC0415 doit list must stay quick

    lab = service.ensure(site.lab)
    print(*(f"unset {name}" for name in service.UNSET), sep="\n")
    for name, value in service.environment(lab, site.settings.region).items():
        print(f"export {name}={shlex.quote(value)}")


def _stop(site: Site) -> None:
    from knitter.lab import service  # noqa: PLC0415 doit list must stay quick

    print("the lab is stopped" if service.stop(site.lab) else "no lab is running")


def _schema(site: Site) -> None:
    path = site.root / "docs" / "recipe.schema.json"
    schema.write(path)
    print(f"wrote {path} and recipe.md beside it")

"""What dodo.py hands to doit: the configuration, and the creators of all tasks, in the order `doit list` shows them."""

import os
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from knitter.errors import KnitterError
from knitter.report import Reporter, creating, loading
from knitter.site import Site
from knitter.tasks import account, config, corridor, desk, way_out
from knitter.tasks.corridor import Task


@cache
def site() -> Site:
    """The checkout doit runs in: doit has changed to the folder of dodo.py before it loads it."""
    return Site(Path.cwd())


def doit_config() -> dict[str, Any]:
    """DOIT_CONFIG: what knitter needs of doit, then what .doit.cfg says.  Ends doit with a message if that is wrong."""
    with loading():
        _check_installed()
        options = config.read(site().root / ".doit.cfg")
        database = site().settings.build_directory / ".doit.db"
        _make_room(database.parent)
        way_out.prepare()
        way_out.at_end(desk.leave_cloud(site()))
        return {
            "default_tasks": ["overview"],
            "reporter": Reporter,
            "backend": "knitter",
            "dep_file": str(database),
            "par_type": "thread",
            "forget_disable_default": True,
            **options,
        }


def _check_installed() -> None:
    if not entry_points(group="doit.BACKEND", name="knitter"):
        raise KnitterError("this doit does not know knitter", hint="run ./setup.sh, then .venv/bin/doit")


def _make_room(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        writable = os.access(directory, os.W_OK)
    except OSError as error:
        raise _unwritable(directory, error.strerror or str(error)) from None
    if not writable:
        raise _unwritable(directory, "Permission denied")


def _unwritable(directory: Path, why: str) -> KnitterError:
    return KnitterError(
        f"cannot write in the build directory {directory}",
        details=why,
        hint="set build_directory in .doit.cfg, or KNITTER_BUILD_DIRECTORY, to a place you may write",
    )


@creating
def task_overview() -> Iterator[Task]:
    """Bare doit: what is built, what is stale, what to run next."""
    yield desk.overview_task(site())


@creating
def task_build() -> Iterator[Task]:
    """All stages of all recipes."""
    if error := corridor.misnamed(sys.argv[1:], site().names):
        raise error
    yield from corridor.tasks(site())


@creating
def task_lab() -> Iterator[Task]:
    """The embedded cloud."""
    yield desk.lab_task(site())
    yield desk.lab_stop_task(site())


@creating
def task_account() -> Iterator[Task]:
    """What is asked of the account, and what is left in it."""
    yield from account.tasks(site())


@creating
def task_schema() -> Iterator[Task]:
    """The JSON Schema of recipes."""
    yield desk.schema_task(site())

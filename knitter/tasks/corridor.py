"""Stages as doit tasks.

    packages:R -> rootfs:R -> disk:R -> boot:R -> snapshot:R -> ami:R -> build:R        for each recipe R

By the road `surrogate`, volume:R is between boot:R and snapshot:R, and needs source:S if S is the surrogate's recipe.
launch:R starts an instance of the AMI; nothing needs it.

A task's target is its stage's receipt, and its file_dep are the receipts before it; whether it is up to date the stage
itself knows (`Stage.is_current`), and its action is `ensure`.  doit's database is only a memory of that.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from knitter import progress, receipt
from knitter.errors import KnitterError
from knitter.report import Product, Row, StageState, refusing
from knitter.site import Site
from knitter.stages.ami import Ami
from knitter.stages.boot import Boot
from knitter.stages.build import Build
from knitter.stages.disk import Disk
from knitter.stages.launch import Launch
from knitter.stages.packages import Packages
from knitter.stages.rootfs import Rootfs
from knitter.stages.snapshot import Snapshot
from knitter.stages.source import Source, plan_recipe
from knitter.stages.stage import Stage, ensure
from knitter.stages.volume import Volume
from knitter.suggest import nearest
from knitter.tasks import way_out

Task = dict[str, Any]

CORRIDOR: Final[tuple[Stage, ...]] = (Packages(), Rootfs(), Disk(), Boot(), Volume(), Snapshot(), Ami())
NAMES: Final = ("build", *(stage.name for stage in (*CORRIDOR, Launch(), Source())))
"""Of all stages there may be."""
FIRST: Final = "_preflight"
"""The hidden task of each recipe that comes before everything if a cloud is to be asked for anything."""
_KNOWN: Final = (*NAMES, "preflight")
"""What stands before the colon of a recipe's task."""
WIDTH: Final = 80
PLAIN: Final[Task] = {"io": {"capture": False}, "verbosity": 2}
"""Capturing would swap sys.stdout under other threads; stages log to files of their own."""
_KEEP: Final = {
    "name": "keep",
    "long": "keep",
    "type": bool,
    "default": False,
    "help": "boot the disk once more, print the ssh command, and leave it running until Ctrl-C",
}


def corridor(build: Build) -> tuple[Stage, ...]:
    """The stages that lead to an AMI of *build*, by the road it takes."""
    return tuple(stage for stage in CORRIDOR if build.via == "surrogate" or not isinstance(stage, Volume))


def tasks(site: Site) -> Iterator[Task]:
    """Every stage of every recipe, in order; groups first, so that `doit list` begins with a legend."""
    loaded = {name: _load(site, name) for name in site.names}
    builds = [build for build in loaded.values() if isinstance(build, Build)]
    written = any(build.via == "surrogate" for build in builds)
    source = plan_recipe(site.settings) if written else ""
    if source and source not in loaded:
        raise KnitterError(f"surrogate_image names a recipe that is not here: {source}", hint=nearest(source, loaded))
    yield {"basename": "build", "name": None, "doc": "all of these in order, up to a registered AMI"}
    for stage in (*CORRIDOR, Launch(), *((Source(),) if source else ())):
        if written or not isinstance(stage, Volume):
            yield {"basename": stage.name, "name": None, "doc": stage.does}
    width = room(site)
    for name, build in loaded.items():
        for task in _recipe(name, build, is_source=name == source):
            yield {**task, "doc": fitting(task["doc"], width)}


def _load(site: Site, name: str) -> Build | KnitterError:
    try:
        return site.build(name)
    except KnitterError as error:
        return error


def misnamed(words: Sequence[str], names: Sequence[str]) -> KnitterError | None:
    """The error of the first of *words* that is nearly a task; doit would only say that it is none.

    names: of the recipes.
    """
    for word in words:
        stage, colon, recipe = word.partition(":")
        if stage in _KNOWN and colon and recipe not in names and not set(recipe) & set("*?["):
            return KnitterError(f"there is no recipe {recipe!r}", hint=nearest(recipe, names))
        if stage not in _KNOWN and recipe in names:
            return KnitterError(f"there is no stage {stage!r}", hint=nearest(stage, _KNOWN))
    return None


def room(site: Site) -> int:
    """Columns that `doit list` leaves for the text beside the longest name."""
    return WIDTH - 3 - max((len(f"packages:{name}") for name in site.names), default=len("packages"))


def fitting(text: str, width: int) -> str:
    """*text*, cut to *width*."""
    return text if len(text) <= width else text[: width - 3].rstrip() + "..."


def rows(site: Site) -> Iterator[Row]:
    """How each recipe stands, for the overview.  Asks no cloud."""
    for name in site.names:
        try:
            build = site.build(name)
        except KnitterError as error:
            yield Row(name, f"! {error.brief}", (StageState("recipe", "stale", error.brief),))
            continue
        left = receipt.read(CORRIDOR[-1].receipt_path(build))
        image = left.facts["image"] if left else ""
        states = tuple(_standing(build, stage) for stage in corridor(build))
        yield Row(name, build.recipe.description, states, str(image), build.cloud_name)


def _standing(build: Build, stage: Stage) -> StageState:
    why = stage.why_stale(build)
    never = not stage.receipt_path(build).exists()
    return StageState(stage.name, "never" if never else "stale" if why else "current", why)


def _recipe(name: str, build: Build | KnitterError, *, is_source: bool) -> Iterator[Task]:
    """The tasks of one recipe.  One that cannot be read breaks its own tasks, not the others'."""
    if isinstance(build, KnitterError):
        yield from (_broken(basename, name, build) for basename in NAMES)
        return
    yield _build(build)
    stages = corridor(build)
    for position, stage in enumerate(stages):
        yield _stage(build, stage, stages[:position][-1:])
    yield _stage(build, Launch(), ())
    if is_source:
        yield _stage(build, Source(), (Boot(),))


def _broken(basename: str, name: str, error: KnitterError) -> Task:
    def refuse() -> None:
        raise error

    return {"basename": basename, "name": name, "doc": f"! {error.brief}", "actions": [refusing(refuse)], **PLAIN}


def _build(build: Build) -> Task:
    name = build.recipe.name
    return {
        "basename": "build",
        "name": name,
        "doc": build.recipe.description,
        "actions": None,
        "task_dep": [f"{FIRST}:{name}", f"{CORRIDOR[-1].name}:{name}"],
        "clean": [(_clean, [build, corridor(build)])],
        "meta": {"farewell": partial(_product, build)},
    }


def _stage(build: Build, stage: Stage, before: tuple[Stage, ...]) -> Task:
    needed = {type(one): one for one in (*before, *(earlier() for earlier in stage.consumes))}
    receipts = [earlier.receipt_path(build) for earlier in needed.values()]
    if isinstance(stage, Volume) and (name := plan_recipe(build.settings)):
        receipts.append(build.settings.build_directory / name / build.cloud_name / f"{Source.name}.json")
    return {
        "basename": stage.name,
        "name": build.recipe.name,
        "doc": stage.does,
        "actions": [(refusing(_make), [build, stage])],
        "file_dep": [str(path) for path in receipts],
        "task_dep": [f"{FIRST}:{build.recipe.name}"] if stage.in_cloud else [],
        "targets": [str(stage.receipt_path(build))],
        "uptodate": [(_is_current, [build, stage])],
        "clean": [(_clean, [build, (stage,)])],
        "params": [_KEEP] if isinstance(stage, Boot) else [],
        "meta": {"log": stage.log_path(build)},
        **PLAIN,
    }


def _product(build: Build) -> Product:
    """What the build made, from the receipts."""
    image, snapshot = Ami().read(build).facts, Snapshot().read(build).facts
    return Product(
        recipe=build.recipe.name,
        image=str(image["image"]),
        name=str(image["name"]),
        cloud=build.settings.cloud,
        region=build.settings.region,
        disk=build.directory / "disk.raw",
        disk_size=int(str(snapshot["size"])),
        uploaded=int(str(snapshot["bytes"])),
        stages=tuple(stage.name for stage in corridor(build)),
    )


def _make(build: Build, stage: Stage, *, keep: bool = False) -> dict[str, str]:
    """The action of a stage.  What it returns, doit remembers and the reporter shows."""
    if keep:
        return _keep(build, stage)
    with way_out.working(), progress.task(f"{stage.name}:{build.recipe.name}"):
        outcome = ensure(stage, build)
    return {"action": outcome.action, "reason": outcome.reason}


def _keep(build: Build, stage: Stage) -> dict[str, str]:
    """Boot for a look.  Checks nothing, so that a disk that fails its checks can be looked at."""
    from knitter.stages import guest  # noqa: PLC0415 only who boots pays for QEMU's room

    with way_out.working(), progress.task(f"{stage.name}:{build.recipe.name}"):
        progress.say("", reason="--keep")
        with guest.keep(build) as session:
            progress.note(f"\n{session.ssh_command}\n\nconsole: tail -f {session.console}\nCtrl-C ends it.\n")
            progress.say("on until Ctrl-C")
            with suppress(KeyboardInterrupt):
                session.wait()
    return {"action": "kept"}


def _is_current(task: Any, values: dict[str, Any], build: Build, stage: Stage) -> bool:  # noqa: ARG001 (doit's names)
    wants_more = bool(task.options and task.options.get("keep"))
    return not wants_more and stage.is_current(build)


def _clean(build: Build, stages: tuple[Stage, ...], dryrun: bool) -> None:  # noqa: FBT001 (doit calls it so)
    for stage in stages:
        if not dryrun:
            stage.clean(build)

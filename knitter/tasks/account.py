"""Tasks that ask an account: `doit preflight`, `doit iam-policy`, `doit gc`.  None of them builds anything."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from knitter import progress
from knitter.aws.source import SourceImage, find_source
from knitter.errors import KnitterError
from knitter.report import how_called, look_of, refusing
from knitter.report.text import columns, human_duration
from knitter.settings import Via
from knitter.site import Site
from knitter.stages.build import Build
from knitter.stages.source import plan_recipe
from knitter.tasks import way_out
from knitter.tasks.corridor import FIRST, PLAIN, Task, corridor
from knitter.tasks.desk import plain

if TYPE_CHECKING:
    from knitter.aws.leftovers import Leftover
    from knitter.aws.policy import Purpose
    from knitter.aws.preflight import Coming, Finding
    from knitter.aws.session import Cloud

_ID: Final = re.compile(r"\b(?:i|vol|snap|sg|eni|ami|key)-[0-9a-f]{8,17}\b")
_NAMING: Final = ("*.json", "*.journal", "*.attempt")
"""Files of a cloud's folder that name what is in use."""
_YES: Final = {"name": "yes", "long": "yes", "type": bool, "default": False, "help": "remove what is listed"}
_ALL: Final = {
    "name": "alive",
    "long": "all",
    "type": bool,
    "default": False,
    "help": "also what a run that may still be alive has started",
}
_FOR: Final = {
    "name": "purposes",
    "long": "for",
    "type": list,
    "default": [],
    "help": "build, launch or gc; repeat it for several; left out: all three",
}
_DAY: Final = 86400.0


def tasks(site: Site) -> Iterator[Task]:
    """Of all recipes, and `preflight:R` of one."""
    yield plain(site, "preflight", _preflight_all, "ask the cloud all that a build will need of it")
    for name in site.names:
        yield plain(site, f"preflight:{name}", _preflighted(name), f"the same, for {name} alone")
        yield first(site, name)
    yield plain(site, "iam-policy", _policy, "print the rights that knitter needs, as an IAM policy", [_FOR])
    yield plain(site, "gc", _collect, "list what nobody uses in the cloud; --yes removes it", [_YES, _ALL])


def _preflight_all(site: Site) -> None:
    _preflight(site, site.names)


def _preflighted(name: str) -> Any:
    return lambda site: _preflight(site, (name,))


def _preflight(site: Site, names: Sequence[str]) -> None:
    """Print all findings.  Raises KnitterError that tells the problems."""
    from knitter.aws.preflight import require  # noqa: PLC0415 doit list must stay quick

    broken, builds = _loaded(site, names)
    with way_out.working():
        findings = [*broken, *_examined(site, builds)]
    print(f"{_where(site)}, {' and '.join(sorted(_roads(site, builds)))}: {', '.join(names)}\n")
    print(*(f"{one.state:<7}  {one.line}" for one in findings), sep="\n")
    require(findings)


def _examined(site: Site, builds: "Sequence[Build]") -> "list[Finding]":
    from knitter.aws.preflight import Plan, examine  # noqa: PLC0415 doit list must stay quick

    plan = Plan(
        settings=site.settings,
        roads=_roads(site, builds),
        find_source=_finder(site, builds),
        coming=[_coming(build) for build in builds],
        disks=sum(build.recipe.disk.size for build in builds),
    )
    return examine(site.cloud, plan)


def _finder(site: Site, builds: Sequence[Build]) -> "Callable[[Cloud], SourceImage] | None":
    """What finds the AMI of surrogates; None if knitter makes it itself."""
    written = [build.recipe.packages.architecture for build in builds if build.via == "surrogate"]
    if not written or plan_recipe(site.settings):
        return None
    return lambda cloud: find_source(cloud, site.settings.surrogate_image, written[0])


def first(site: Site, name: str) -> Task:
    """What a build asks of the cloud before it makes anything: a hidden task, nothing if all is up to date."""
    return {
        "basename": f"{FIRST}:{name}",
        "actions": [(refusing(_ask_first), [site, name])],
        "uptodate": [(_is_built, [site, name])],
        **PLAIN,
    }


def _ask_first(site: Site, name: str) -> None:
    """Say what will work otherwise than expected.  Raises KnitterError that tells all problems."""
    from knitter.aws.preflight import require  # noqa: PLC0415 doit list must stay quick

    with way_out.working(), progress.task(f"preflight:{name}"):
        findings = _examined(site, [site.build(name)])
        for one in findings:
            if one.state == "warning":
                progress.note(one.line)
        require(findings)


def _is_built(task: Any, values: dict[str, Any], site: Site, name: str) -> bool:  # noqa: ARG001 (doit's names)
    try:
        build = site.build(name)
    except KnitterError:
        return True  # its own tasks tell
    return all(stage.is_current(build) for stage in corridor(build))


def _loaded(site: Site, names: Sequence[str]) -> "tuple[list[Finding], list[Build]]":
    """The recipes; one that cannot be read is a problem of its own."""
    from knitter.aws.preflight import Finding  # noqa: PLC0415 doit list must stay quick

    broken, builds = [], []
    for name in names:
        try:
            builds.append(site.build(name))
        except KnitterError as error:
            broken.append(Finding("problem", f"recipe {name}", error.brief, f"doit build:{name} tells more"))
    return broken, builds


def _roads(site: Site, builds: Sequence[Build]) -> frozenset[Via]:
    """By which the recipes go up."""
    return frozenset(build.via for build in builds) or frozenset({site.settings.via})


def _coming(build: Build) -> "Coming":
    """The AMI that a build will make; its name only if it is the same for every build."""
    from knitter.aws.preflight import Coming  # noqa: PLC0415 doit list must stay quick

    recipe = build.recipe
    fixed = not {"{date}", "{key}"} & set(re.findall(r"{\w+}", recipe.ami.name))
    name = recipe.ami.fill_name(recipe=recipe.name, date="", key="", architecture=recipe.packages.architecture)
    return Coming(
        name=recipe.name,
        architecture=recipe.packages.architecture,
        boot_mode=recipe.boot_mode,
        ena=recipe.ami.ena,
        image_name=name if fixed else "",
    )


def _policy(site: Site, purposes: list[str]) -> None:
    """Print the policy; stdout holds nothing else.  Raises KnitterError if a purpose is none."""
    from knitter.aws.policy import policy  # noqa: PLC0415 doit list must stay quick

    roads = _roads(site, _loaded(site, site.names)[1])
    known: dict[str, tuple[Purpose, ...]] = {"build": tuple(sorted(roads)), "launch": ("launch",), "gc": ("gc",)}
    for wrong in set(purposes) - set(known):
        raise KnitterError(f"there is no purpose {wrong!r}", hint=f"--for {' | '.join(known)}")
    asked = [purpose for name in purposes or known for purpose in known[name]]
    print(json.dumps(policy(site.settings, asked), indent=2))


def _collect(site: Site, *, yes: bool, alive: bool) -> None:
    """List, and remove if *yes*.  Raises KnitterError if something remains, or could not be listed."""
    from knitter.aws.leftovers import find_leftovers  # noqa: PLC0415 doit list must stay quick

    with way_out.working():
        cloud = site.cloud()
        found = find_leftovers(cloud, _named(site))
        dead = [one for one in found.things if alive or not one.alive]
        print(_table(found.things) if found.things else f"nothing is left over in {_where(site)}")
        failed = _remove(site, dead) if yes else {}
    if dead and not yes:
        print(f"\nin {_where(site)}; nothing is removed yet: {how_called()} gc --yes{' --all' if alive else ''}")
    errors = [*found.refused, *failed.values()]
    if errors:
        many = f"{len(failed)} of {len(dead)} remain" if failed else "not everything could be listed"
        hint = next((one.hint for one in errors if one.hint), "")
        raise KnitterError(many, details="\n".join(one.brief for one in errors), hint=hint)


def _remove(site: Site, dead: "Sequence[Leftover]") -> dict[str, Any]:
    from knitter.aws.removal import remove  # noqa: PLC0415 doit list must stay quick

    print()
    return dict(remove(site.cloud(), dead, print))


def _named(site: Site) -> frozenset[str]:
    """Ids that receipts and journals of this cloud name, of all recipes, also of those that are gone."""
    folders = site.settings.build_directory.glob(f"*/{_folder(site)}")
    paths = [path for folder in folders for pattern in _NAMING for path in folder.glob(pattern)]
    return frozenset(name for path in paths for name in _ID.findall(path.read_text(errors="replace")))


def _folder(site: Site) -> str:
    return "lab" if site.settings.cloud == "lab" else site.settings.region


def _where(site: Site) -> str:
    return f"the lab, as {site.settings.region}" if site.settings.cloud == "lab" else site.settings.region


def _table(things: "Sequence[Leftover]") -> str:
    rows = [(one.kind, one.id, _age(one.began), one.recipe or "-", one.run or "-", one.why) for one in things]
    return columns([("what", "id", "age", "recipe", "run", "why"), *rows], look=look_of(sys.stdout), indent=0)


def _age(began: datetime | None) -> str:
    if began is None:
        return "-"
    seconds = max(0.0, (datetime.now(UTC) - began).total_seconds())
    return human_duration(seconds) if seconds < 2 * _DAY else f"{seconds / _DAY:.0f} d"

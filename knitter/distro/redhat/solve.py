"""Runs in the host's own Python, which has dnf: reads a request, prints an answer.  Its text is sent along.

Python 3.9's standard library and dnf 4.  Argument: the request, a JSON file (see `dnf.request`).  On stdout the answer,
JSON; its `kind` is one of

    packages     packages: what `_describe` says of each; absent: default members of groups that no repository has
    groups       unknown: ids; known: ids; environments: id -> its groups
    members      missing: group -> its mandatory members that no repository has
    names        unknown: names; known: all there are; providers: name -> packages that provide it
    unsolved     problems: text
    unreadable   repository: id; problem: text

Of the host no configuration, variable, plugin or package database counts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import dnf
import hawkey


class RefusedError(Exception):
    """An answer that is no list of packages."""

    def __init__(self, kind: str, **answer: Any) -> None:
        super().__init__(kind)
        self.answer = {"kind": kind, **answer}


def solve(request: dict[str, Any]) -> dict[str, Any]:
    """The answer of kind `packages`.  Raises RefusedError."""
    base = dnf.Base(_configuration(request))
    _read(base, request["repositories"])
    _leave_out(base, request)
    members, absent = _expand(base, request)
    _check_names(base, request)
    for name in sorted(members | set(request["install"])):
        selector = dnf.selector.Selector(base.sack)
        selector.set(name=name)
        base.goal.install(select=selector)
    try:
        base.resolve()
    except dnf.exceptions.Error as error:
        raise RefusedError("unsolved", problems=str(error)) from None
    return {"kind": "packages", "packages": [_describe(one) for one in base.transaction.install_set], "absent": absent}


def _configuration(request: dict[str, Any]) -> Any:
    conf = dnf.conf.Conf()
    for option in ("installroot", "cachedir", "persistdir", "logdir"):
        path = Path(request["directory"], option)
        path.mkdir(parents=True, exist_ok=True)
        setattr(conf, option, str(path))
    for option in ("reposdir", "varsdir", "pluginpath", "pluginconfpath", "protected_packages"):
        setattr(conf, option, [])
    conf.install_weak_deps = request["weak"]
    conf.module_platform_id = request["platform"]
    conf.best = True  # an older package, because the newest cannot be installed, is a surprise
    conf.multilib_policy = "best"
    conf.protect_running_kernel = False
    conf.substitutions["arch"] = conf.substitutions["basearch"] = request["architecture"]
    conf.substitutions["releasever"] = request["release"]
    return conf


def _read(base: Any, repositories: list[dict[str, str]]) -> None:
    for one in repositories:
        base.repos.add_new_repo(one["id"], base.conf, baseurl=[one["url"]])
    try:
        base.fill_sack(load_system_repo=False)
        base.read_comps(arch_filter=True)
    except dnf.exceptions.Error as error:
        text = str(error)
        culprit = next((one["id"] for one in repositories if f"'{one['id']}'" in text), "")
        raise RefusedError("unreadable", repository=culprit, problem=text) from None


def _leave_out(base: Any, request: dict[str, Any]) -> None:
    """What must not come in: what the recipe removes, and any other architecture, such as i686."""
    available = base.sack.query().available()
    base.sack.add_excludes(available.filter(arch__neq=[request["architecture"], "noarch"]))
    base.sack.add_excludes(base.sack.query().available().filter(name=request["remove"]))


def _groups(base: Any) -> dict[str, list[Any]]:
    """By id; several repositories may each have a part of one."""
    groups: dict[str, list[Any]] = {}
    for group in base.comps.groups:
        groups.setdefault(group.id, []).append(group)
    return groups


def _expand(base: Any, request: dict[str, Any]) -> tuple[set[str], list[str]]:
    """Members of the groups that there are, and default members that no repository has."""
    groups = _groups(base)
    if unknown := [name for name in request["groups"] if name not in groups]:
        environments = {one.id: [group.id for group in one.mandatory_groups] for one in base.comps.environments}
        raise RefusedError("groups", unknown=unknown, known=sorted(groups), environments=environments)
    there, removed = _names(base), set(request["remove"])
    members: set[str] = set()
    absent: set[str] = set()
    missing: dict[str, list[str]] = {}
    for name in request["groups"]:
        must = {one.name for group in groups[name] for one in group.mandatory_packages} - removed
        may = {one.name for group in groups[name] for one in group.default_packages} - removed
        members |= must | may & there
        absent |= may - there
        if must - there:
            missing[name] = sorted(must - there)
    if missing:
        raise RefusedError("members", missing=missing)
    return members, sorted(absent)


def _names(base: Any) -> set[str]:
    """Of all packages, those that must not come in too."""
    return {package.name for package in base.sack.query(hawkey.IGNORE_EXCLUDES)}


def _check_names(base: Any, request: dict[str, Any]) -> None:
    """Each name must be a package's, or be removed from a group that has it for a member."""
    there, groups = _names(base), _groups(base)
    members = {one.name for name in request["groups"] for group in groups[name] for one in group.packages_iter()}
    if unknown := sorted(set(request["install"]) - there | set(request["remove"]) - there - members):
        available = base.sack.query().available()
        providers = {name: sorted({one.name for one in available.filter(provides=name)}) for name in unknown}
        raise RefusedError("names", unknown=unknown, known=sorted(there), providers=providers)


def _describe(package: Any) -> dict[str, Any]:
    checksum, digest = package.chksum
    return {
        "name": package.name,
        "epoch": package.epoch,
        "version": package.version,
        "release": package.release,
        "arch": package.arch,
        "checksum": hawkey.chksum_name(checksum),
        "digest": digest.hex(),
        "size": package.downloadsize,
        "location": package.location,
        "base": package.baseurl or "",
        "repository": package.reponame,
    }


def main(path: str) -> None:
    """Print the answer to the request in the file at *path*."""
    try:
        answer = solve(json.loads(Path(path).read_text()))
    except RefusedError as error:
        answer = error.answer
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])

"""Customise a root as a recipe says, then scrub it."""

from collections.abc import Iterable
from pathlib import Path

from knitter.command import Command
from knitter.distro import archive, customise, overlay, scrub
from knitter.lock import Lock
from knitter.progress import say
from knitter.recipe.model import Recipe
from knitter.root.family import Family
from knitter.root.tree import Tree


def dress(tree: Tree, family: Family, recipe: Recipe, lock: Lock, *, staging: Path) -> list[str]:
    """Everything the recipe says of the root, in an order where each may rest on what came before.

    staging: a directory of the host for files on their way into the tree.
    Returns the absolute paths that came in packages: who looks at the tree afterwards trusts these.
    """
    say("customising")
    before = tree.inside("reading what the initial RAM disk is made from", family.fingerprint())
    _run(tree, "setting hostname, locale and timezone", family.plan_system())
    _run(tree, "setting up the package manager", family.plan_management(lock))
    for number, layer in enumerate(recipe.layers):
        _lay_over(tree, layer / "files", staging / f"overlay-{number}.tar")
    _run(tree, "setting up users and owners of files", customise.plan_accounts(recipe.system))
    _run(tree, "enabling and masking services", family.plan_services())
    _run_scripts(tree, family, recipe)
    if tree.inside("reading what the initial RAM disk is made from", family.fingerprint()) != before:
        say("making the initial RAM disk anew")
        tree.inside("making the initial RAM disk", family.initramfs())
    say("scrubbing")
    packaged = tree.inside("listing what came in packages", family.packaged()).splitlines()
    tree.inside("scrubbing", scrub.scrub(family.scrub(), epoch=tree.epoch))
    tree.run("scrubbing", scrub.empty_mounts(tree.path))
    return packaged


def _run(tree: Tree, what: str, commands: Iterable[Command]) -> None:
    for one in commands:
        tree.inside(what, one)


def _lay_over(tree: Tree, directory: Path, staged: Path) -> None:
    if directory.is_dir():
        overlay.write_archive(directory, staged, epoch=tree.epoch)
        tree.run(f"laying {directory} over the root tree", archive.lay_over(staged, tree.path))
        staged.unlink()


def _run_scripts(tree: Tree, family: Family, recipe: Recipe) -> None:
    if not recipe.system.scripts:
        return
    _run(tree, "preparing for scripts", family.forbid_daemons())
    for name in recipe.system.scripts:
        say(f"running {name}")
        tree.inside(name, customise.run_script(), script=recipe.path_of(name))
    _run(tree, "preparing for scripts", family.allow_daemons())

"""Customise a root as a recipe says, then scrub it."""

from collections.abc import Iterable
from pathlib import Path

from knitter.command import Command
from knitter.distro import archive, customise, debian, overlay, scrub
from knitter.distro.apt import Source, source_of
from knitter.lock import Lock
from knitter.progress import say
from knitter.recipe.model import DebianPackages, Recipe
from knitter.root.tree import Tree


def dress(tree: Tree, recipe: Recipe, lock: Lock, *, staging: Path) -> None:
    """Everything the recipe says of the root, in an order where each may rest on what came before.

    staging: a directory of the host for files on their way into the tree.
    """
    say("customising")
    before = tree.inside("reading what the initial RAM disk is made from", customise.fingerprint())
    _run(tree, "setting hostname, locale and timezone", customise.plan_system(recipe.system))
    _run(tree, "setting up apt", _package_management(recipe, lock))
    for number, layer in enumerate(recipe.layers):
        _lay_over(tree, layer / "files", staging / f"overlay-{number}.tar")
    _run(tree, "setting up users and owners of files", customise.plan_accounts(recipe.system))
    _run(tree, "enabling and masking services", customise.plan_services(recipe.system))
    _run_scripts(tree, recipe)
    if tree.inside("reading what the initial RAM disk is made from", customise.fingerprint()) != before:
        say("making the initial RAM disk anew")
        tree.inside("making the initial RAM disk", customise.update_initramfs())
    say("scrubbing")
    tree.inside("scrubbing", scrub.scrub(epoch=tree.epoch))
    tree.run("scrubbing", scrub.empty_mounts(tree.path))


def _run(tree: Tree, what: str, commands: Iterable[Command]) -> None:
    for one in commands:
        tree.inside(what, one)


def _package_management(recipe: Recipe, lock: Lock) -> Iterable[Command]:
    keyring = image_keyring(recipe)
    assert isinstance(recipe.packages, DebianPackages)
    if recipe.packages.keyring:
        yield customise.write_bytes(keyring, recipe.path_of(recipe.packages.keyring).read_bytes())
    yield customise.write("/etc/apt/sources.list", customise.sources_list(image_sources(recipe, lock), keyring))
    yield customise.mark_packages(recipe.packages.install)


def image_keyring(recipe: Recipe) -> str:
    """Where the image keeps the public keys of its archive: the distribution's package brings them, or the recipe."""
    assert isinstance(recipe.packages, DebianPackages)
    own = recipe.packages.keyring
    return (
        f"/etc/apt/keyrings/{Path(own).name}" if own else str(debian.distribution_of(recipe.packages.release).keyring)
    )


def image_sources(recipe: Recipe, lock: Lock) -> list[Source]:
    """What the image's apt fetches from: the lock's repositories, and their components as the recipe has them."""
    assert isinstance(recipe.packages, DebianPackages)
    wanted = [source_of(one, recipe.packages.release) for one in recipe.packages.repositories]
    components = {(one.url, one.suite): one.components for one in wanted}
    return [
        Source(one.url, one.suite, components.get((one.url.rstrip("/"), one.suite), ("main",)))
        for one in lock.repositories
    ]


def _lay_over(tree: Tree, directory: Path, staged: Path) -> None:
    if directory.is_dir():
        overlay.write_archive(directory, staged, epoch=tree.epoch)
        tree.run(f"laying {directory} over the root tree", archive.lay_over(staged, tree.path))
        staged.unlink()


def _run_scripts(tree: Tree, recipe: Recipe) -> None:
    if not recipe.system.scripts:
        return
    tree.inside("preparing for scripts", customise.forbid_daemons())
    for name in recipe.system.scripts:
        say(f"running {name}")
        tree.inside(name, customise.run_script(), script=recipe.path_of(name))
    tree.inside("preparing for scripts", customise.allow_daemons())

"""Stage `rootfs`: bootstrap offline from the locked packages, customise, scrub, pack, assert.

    lock + cache --bootstrap--> base --customise, scrub--> tree --pack--> rootfs.tar --assert--> digest

The base rests on the lock alone and is kept, so whatever else changes in a recipe, nothing is bootstrapped again.
"""

from typing import Final

from pydantic import JsonValue

from knitter.cache import Cache
from knitter.distro import archive, overlay
from knitter.machine import needs, tools
from knitter.machine.scratch import require_space, scratch
from knitter.progress import say
from knitter.root import base
from knitter.root.dress import dress
from knitter.root.families import family_of
from knitter.root.proof import prove
from knitter.root.tree import Tree
from knitter.stages.build import Build
from knitter.stages.packages import Packages
from knitter.stages.stage import Made, Stage, Work, section

OUTPUT: Final = "rootfs.tar"
_TOOLS: Final = ("chroot", "tar", "unshare")


class Rootfs(Stage):
    """Makes the root tree."""

    name = "rootfs"
    revision = 1
    does = "bootstrap, customise, scrub the root tree"
    consumes = (Packages,)

    def sections(self, build: Build) -> dict[str, JsonValue]:
        """The section, the files of the recipe's folders, and what of `packages` the image itself remembers."""
        recipe = build.recipe
        inputs = section("system", recipe.system)
        inputs["files"] = [overlay.manifest(layer / "files") for layer in recipe.layers]
        inputs["system.scripts"] = [[name, overlay.digest(recipe.path_of(name))] for name in recipe.system.scripts]
        inputs |= family_of(recipe).inputs()
        return inputs

    def make(self, build: Build, work: Work) -> Made:
        """Write rootfs.tar."""
        family = family_of(build.recipe)
        tools.require((*_TOOLS, *family.tools))
        needs.require(build.recipe.needs)
        lock, cache = Packages().lock(build), Cache(build.settings.cache_directory)
        room = family.growth * sum(package.size for package in lock.packages)
        require_space(work.directory, room)
        output = work.directory / OUTPUT
        with scratch(build.settings.scratch, work.directory, need=room, log=work.log) as (machine, place):
            tree = Tree(machine, place, lock.epoch, work.log)
            base.ensure(tree, family, lock, cache, room=room)
            packaged = dress(tree, family, build.recipe, lock, staging=work.directory)
            say("packing")
            tree.run("packing the root tree", archive.pack(tree.path, output, epoch=lock.epoch))
        say("asserting")
        digest, facts = prove(output, packaged)
        return Made(digest, (OUTPUT,), facts | {"source_date_epoch": lock.epoch})

"""How a recipe's disk is registered: what every AMI of it has in common.  Pure."""

from knitter.aws.registration import Wanted
from knitter.disk.blocks import Blocks
from knitter.stages.build import Build
from knitter.stages.disk import Disk
from knitter.units import GIB


def plan_image(build: Build, snapshot: str, *, name: str, tags: dict[str, str]) -> Wanted:
    """The AMI of *snapshot*, called *name*.  The recipe's own tags are added, to its snapshot, too."""
    recipe, ami = build.recipe, build.recipe.ami
    listed: Blocks = Disk().blocks(build)
    return Wanted(
        name=name,
        description=ami.description,
        architecture=recipe.packages.architecture,
        boot_mode=recipe.boot_mode,
        root_device=ami.root_device,
        snapshot=snapshot,
        size=(ami.volume.size or listed.size) // GIB,
        volume_type=ami.volume.type,
        iops=ami.volume.iops,
        delete_on_termination=ami.volume.delete_on_termination,
        ephemeral=ami.ephemeral,
        ena=ami.ena,
        imds=ami.imds,
        tpm=ami.tpm,
        tags=tags | ami.tags,
        snapshot_tags=dict(ami.tags),
    )

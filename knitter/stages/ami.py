"""Stage `ami`: RegisterImage, with every field said, and read back."""

from datetime import UTC, datetime
from typing import Final

from pydantic import JsonValue

from knitter import receipt
from knitter.aws import images
from knitter.aws.images import RefusedImageError
from knitter.aws.registration import Wanted
from knitter.aws.tags import stamp
from knitter.errors import CloudError
from knitter.receipt import Receipt
from knitter.stages.build import Build
from knitter.stages.packages import Packages
from knitter.stages.registering import plan_image
from knitter.stages.snapshot import Snapshot
from knitter.stages.stage import Made, Stage, Work, section

_WRITTEN: Final = {
    "Name": "ami.name",
    "Description": "ami.description",
    "Architecture": "packages.architecture",
    "BootMode": "ami.boot_mode or boot.firmware",
    "RootDeviceName": "ami.root_device",
    "EnaSupport": "ami.ena",
    "ImdsSupport": "ami.imds",
    "TpmSupport": "ami.tpm",
    "VolumeSize": "ami.volume.size",
    "VolumeType": "ami.volume.type",
    "Iops": "ami.volume.iops",
    "VirtualName": "ami.ephemeral",
    "TagSpecifications": "ami.tags",
}
"""Parameter of RegisterImage -> where the recipe says it."""


class Ami(Stage):
    """Registers the snapshot as an AMI."""

    name = "ami"
    revision = 1
    does = "register the snapshot as an AMI"
    consumes = (Snapshot,)
    in_cloud = True

    def sections(self, build: Build) -> dict[str, JsonValue]:
        """All that RegisterImage is told; the name is part of it, so the recipe's own name is too."""
        recipe = build.recipe
        told: dict[str, JsonValue] = {
            "recipe.name": recipe.name,
            "packages.architecture": recipe.packages.architecture,
            "boot.firmware": recipe.boot.firmware,
        }
        return section("ami", recipe.ami) | told

    def alive(self, build: Build, left: Receipt) -> bool:
        """Whether the AMI can be launched and is made of the snapshot it was made of."""
        image, snapshot = str(left.facts["image"]), str(left.facts["snapshot"])
        return images.is_available(build.cloud(), image, snapshot=snapshot)

    def adopt(self, build: Build, key: str) -> Made | None:
        """The AMI with this key."""
        found = images.find_available(build.cloud(), key)
        return self._made(build, found.id, found.name) if found else None

    def make(self, build: Build, work: Work) -> Made:
        """Register, wait, compare.  Raises CloudError that names the recipe's field when AWS refuses one."""
        wanted = self._wanted(build, work.key)
        try:
            image = images.ensure_image(build.cloud(), wanted)
        except RefusedImageError as error:
            raise in_recipe_words(error) from error
        work.log.write_text(f"{image}: {wanted}\n")
        return self._made(build, image, wanted.name)

    def _wanted(self, build: Build, key: str) -> Wanted:
        name = self._ami_name(build, key)
        tags = stamp(key=key, recipe=build.recipe.name, stage=self.name, name=name)
        return plan_image(build, str(Snapshot().read(build).facts["snapshot"]), name=name, tags=tags)

    def _ami_name(self, build: Build, key: str) -> str:
        """The template, filled; the recipe saw to it that an AMI may be called that."""
        recipe = build.recipe
        date = datetime.fromtimestamp(Packages().lock(build).epoch, UTC)
        return recipe.ami.fill_name(
            recipe=recipe.name, date=f"{date:%Y%m%d}", key=key[:8], architecture=recipe.packages.architecture
        )

    def _made(self, build: Build, image: str, name: str) -> Made:
        stored = Snapshot().read(build).facts
        volume = build.recipe.ami.volume.size or stored["size"]
        facts: dict[str, JsonValue] = {
            "image": image,
            "name": name,
            "region": stored["region"],
            "snapshot": stored["snapshot"],
            "size": volume,
        }
        return Made(receipt.digest_of([image]), facts=facts)


def in_recipe_words(error: RefusedImageError) -> CloudError:
    """*error*, with where in recipe.toml to correct it."""
    where = _WRITTEN.get(error.field)
    if not where:
        return error
    return CloudError(
        f"{error.brief} (parameter {error.field})",
        code=error.code,
        details=error.details,
        hint=f"correct {where} in recipe.toml",
    )

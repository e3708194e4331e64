"""Stage `source`: a surrogate's own AMI, knit: of the checked disk of a recipe, by the direct road.

Only for a recipe that `surrogate_image` names.  An AMI that was built of the recipe before, by whatever road, will do.
"""

from typing import Final

from pydantic import JsonValue

from knitter import receipt
from knitter.aws import images, snapshots
from knitter.aws.upload import Manner
from knitter.receipt import Receipt
from knitter.settings import Settings
from knitter.stages import registering, stored
from knitter.stages.boot import Boot
from knitter.stages.build import Build
from knitter.stages.disk import Disk
from knitter.stages.stage import Made, Stage, Work

LAB: Final = "debian-12"
"""The recipe of surrogates in the lab, where nobody else's AMIs are."""


def plan_recipe(settings: Settings) -> str:
    """The recipe that surrogates are made of; "" if they start from somebody's AMI."""
    chosen = settings.surrogate_image or (f"recipe:{LAB}" if settings.cloud == "lab" else "")
    return chosen.removeprefix("recipe:") if chosen.startswith("recipe:") else ""


class Source(Stage):
    """Knits the AMI that surrogates start from."""

    name = "source"
    revision = 1
    does = "knit the AMI that surrogates start from"
    consumes = (Disk,)
    in_cloud = True

    def sections(self, build: Build) -> dict[str, JsonValue]:
        """What of the recipe an instance of it depends on, besides its disk."""
        recipe = build.recipe
        return {"boot_mode": recipe.boot_mode, "ami.root_device": recipe.ami.root_device, "ami.ena": recipe.ami.ena}

    def alive(self, build: Build, left: Receipt) -> bool:
        """Whether the AMI can be launched."""
        return images.is_available(build.cloud(), str(left.facts["image"]), snapshot=str(left.facts["snapshot"]))

    def adopt(self, build: Build, key: str) -> Made | None:
        """The AMI with this key, else the newest that was built of the recipe."""
        found = images.find_available(build.cloud(), key) or images.find_built(build.cloud(), build.recipe.name)
        return _made(found.id, found.snapshots[0]) if found else None

    def make(self, build: Build, work: Work) -> Made:
        """Upload and register."""
        Boot().read(build)  # what does not boot is no surrogate
        cloud, name = build.cloud(), f"knitter-source-{build.recipe.name}-{work.key[:8]}"
        order = stored.order(build, work.key, stage=self.name, name=name)
        folder = self.folder(build)
        folder.mkdir(parents=True, exist_ok=True)
        made = snapshots.ensure_snapshot(cloud, order, journal=folder / "source.journal", manner=Manner())
        wanted = registering.plan_image(build, made.id, name=name, tags=order.tags)
        return _made(images.ensure_image(cloud, wanted), made.id)

    def clean(self, build: Build) -> None:
        """Remove the receipt, the log and the journal; the AMI stays."""
        super().clean(build)
        (self.folder(build) / "source.journal").unlink(missing_ok=True)


def _made(image: str, snapshot: str) -> Made:
    return Made(receipt.digest_of([image]), facts={"image": image, "snapshot": snapshot})

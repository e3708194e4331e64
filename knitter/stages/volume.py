"""Stage `volume`: a surrogate writes the disk to an empty volume, over SSH.  Only by the road `surrogate`.

disk.raw + disk.blocks --SSH--> /dev/nvme... of a surrogate: every block read back and compared --detach--> a volume
volume.attempt, volume.journal: what a killed run had begun, and which blocks are on it; the next run goes on with them.

It is done when its volume lives, or when the snapshot that was made of it does: then nothing is written again.
"""

from datetime import UTC, datetime

from pydantic import JsonValue

from knitter import receipt
from knitter.aws import inventory
from knitter.aws.source import SourceImage, find_source
from knitter.errors import KnitterError
from knitter.receipt import Receipt
from knitter.stages import stored
from knitter.stages.build import Build
from knitter.stages.disk import Disk
from knitter.stages.source import Source, plan_recipe
from knitter.stages.stage import Made, Stage, Work
from knitter.surrogate import work as surrogate


class Volume(Stage):
    """Writes the disk to a volume, once."""

    name = "volume"
    revision = 1
    does = "a surrogate writes the disk to a volume"
    consumes = (Disk,)
    in_cloud = True

    def sections(self, build: Build) -> dict[str, JsonValue]:
        """As for the snapshot: the volume's speed and place decide nothing."""
        return stored.sections(build)

    def alive(self, build: Build, left: Receipt) -> bool:
        """Whether the snapshot is there, or the volume, whole and free."""
        volume = str(left.facts["volume"])
        return stored.find(build) is not None or _is_whole(build, volume)

    def adopt(self, build: Build, key: str) -> Made | None:
        """The snapshot that makes a volume needless, else a written volume with this key."""
        if stored.find(build):
            return _made(build, "")
        found = (one.id for one in inventory.volumes(build.cloud()).values() if one.key == key)
        return next((_made(build, name) for name in found if _is_whole(build, name)), None)

    def make(self, build: Build, work: Work) -> Made:
        """Start a surrogate if none runs, attach, write, verify, detach."""
        cloud = build.cloud()
        order = stored.order(build, work.key, stage=self.name, name=build.recipe.name)
        self.folder(build).mkdir(parents=True, exist_ok=True)
        with work.log.open("a", buffering=1) as log:
            desk = surrogate.Desk(
                cloud=cloud,
                pool=build.pool(),
                settings=build.settings,
                image=find_image(build),
                attempt=surrogate.Attempt(self.folder(build)),
                log=work.log,
                note=lambda line: print(f"{datetime.now(UTC):%H:%M:%S} {line}", file=log),
            )
            written = surrogate.ensure_written(desk, build.recipe.name, order, digest=Disk().read(build).digest)
            log.write(f"volume {written.id} in {written.zone}: {written.put} blocks written\n")
        return _made(build, written.id)

    def clean(self, build: Build) -> None:
        """Remove the receipt, the log, and what is needed to go on; the volume stays."""
        super().clean(build)
        surrogate.Attempt(self.folder(build)).end()

    def found(self, build: Build) -> str:
        """The volume that this stage left, if it is still there; else ""."""
        left = receipt.read(self.receipt_path(build))
        volume = str(left.facts["volume"]) if left else ""
        return volume if volume and volume in inventory.volumes(build.cloud()) else ""

    def living(self, build: Build) -> str:
        """The volume that this stage left.  Raises KnitterError if it is gone."""
        volume = self.found(build)
        if not volume:
            raise KnitterError(f"the volume of {build.recipe.name} is gone", hint="run again: it is written anew")
        return volume


def find_image(build: Build) -> SourceImage:
    """The AMI that a surrogate for *build* starts from.  Raises CloudError, KnitterError."""
    settings, architecture = build.settings, build.recipe.packages.architecture
    if not (name := plan_recipe(settings)):
        return find_source(build.cloud(), settings.surrogate_image, architecture, user=settings.surrogate_user)
    other = build.other(name)
    image = str(Source().read(other).facts["image"])
    user = settings.surrogate_user or other.recipe.check.user
    return find_source(build.cloud(), image, architecture, user=user)


def _is_whole(build: Build, volume: str) -> bool:
    found = inventory.volumes(build.cloud()).get(volume)
    return found is not None and found.state == "available" and found.written == Disk().read(build).digest


def _made(build: Build, volume: str) -> Made:
    """The digest is the disk's: whichever volume it is, it holds just that."""
    return Made(Disk().read(build).digest, facts={"volume": volume, **stored.facts(build)})

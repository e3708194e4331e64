"""Stage `boot`: start the very disk that will be uploaded as EC2 would, log in, and check what the recipe promises.

disk.raw (never written) + recipe.check -> boot.json; the serial consoles are in logs/console-<firmware>.log
"""

from pydantic import JsonValue

from knitter.progress import say
from knitter.receipt import digest_of
from knitter.stages.build import Build
from knitter.stages.disk import Disk
from knitter.stages.stage import Made, Stage, Work, section


class Boot(Stage):
    """Boots the disk under QEMU through each firmware, and from each kind of disk, that the recipe names."""

    name = "boot"
    revision = 1
    does = "boot it under QEMU, log in, check"
    consumes = (Disk,)

    def sections(self, build: Build) -> dict[str, JsonValue]:
        """What is checked, and what the guest is shown.  How long it may take decides nothing."""
        recipe = build.recipe
        return section("check", recipe.check, without=("timeout",)) | {
            "boot.firmware": recipe.boot.firmware,
            "boot.arguments": recipe.boot.arguments,
            "ami.imds": recipe.ami.imds,
            "ami.volume.size": recipe.ami.volume.size,
            "boot_check": build.settings.boot_check,
        }

    def make(self, build: Build, work: Work) -> Made:
        """Boot and check.  Leaves nothing but logs."""
        if not build.settings.boot_check:
            say("skipped: boot_check = false")
            return Made(digest_of("skipped"), facts={"skipped": "boot_check = false in the settings"})
        from knitter.stages import guest  # noqa: PLC0415 only who boots pays for QEMU's room

        found = guest.inspect_all(build, work)
        digest = digest_of({str(variant): list(findings.passed) for variant, findings in found.items()})
        return Made(digest, facts={str(variant): guest.facts(build, variant, seen) for variant, seen in found.items()})

    def clean(self, build: Build) -> None:
        """Remove the consoles, too, also of a guest that was kept open."""
        super().clean(build)
        for path in (build.directory / "logs").glob("console-*.log"):
            path.unlink()

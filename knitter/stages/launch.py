"""Stage `launch`: start one instance of the AMI in the cloud at hand, log in, check what the recipe promises, end it.

Not on the way to an AMI: `doit launch:<recipe>` is the proof that EC2, or the lab, starts what was registered.
"""

import time
from typing import Final

from pydantic import JsonValue

from knitter.aws import instances
from knitter.aws.source import find_source
from knitter.errors import KnitterError
from knitter.progress import say
from knitter.receipt import digest_of
from knitter.stages.ami import Ami
from knitter.stages.build import Build
from knitter.stages.stage import Made, Stage, Work, section
from knitter.surrogate.power import Purpose, Surrogate
from knitter.vm.checks import Place, plan_checks
from knitter.vm.inspection import Findings, run_checks
from knitter.vm.metadata import GUEST_ADDRESS
from knitter.vm.qemu import Firmware

CONSOLE: Final = "console-launch.log"
_FIRMWARES: Final[dict[str, Firmware]] = {"legacy-bios": "bios", "uefi": "uefi"}
"""By what EC2 says of the instance; old types say nothing, and have a BIOS."""
_TAIL: Final = 25
"""Console lines an error shows."""


class Launch(Stage):
    """Starts an instance of the AMI, and ends it."""

    name = "launch"
    revision = 1
    does = "start an instance of the AMI, log in, check"
    consumes = (Ami,)
    in_cloud = True

    def sections(self, build: Build) -> dict[str, JsonValue]:
        """What is checked, and on what."""
        types: JsonValue = list(build.settings.surrogate_types)
        return section("check", build.recipe.check, without=("timeout",)) | {"surrogate_types": types}

    def make(self, build: Build, work: Work) -> Made:
        """Start, check, read the console, end."""
        cloud, recipe = build.cloud(), build.recipe
        image = str(Ami().read(build).facts["image"])
        source = find_source(cloud, image, recipe.packages.architecture, user=recipe.check.user)
        purpose = Purpose(
            recipe.name,
            stage=self.name,
            encrypted=False,
            by_key_pair=recipe.check.host_key == "own",
            tokens=recipe.ami.imds == "v2.0",
        )
        with build.pool().single(cloud, source, purpose) as host:
            watch = _Watch(build, host)
            try:
                found = _inspect(build, work, host, watch)
            finally:
                watch.read_console()
        return Made(digest_of(list(found.passed)), facts=_facts(image, host, found))

    def clean(self, build: Build) -> None:
        """Remove the console, too."""
        super().clean(build)
        (build.directory / "logs" / CONSOLE).unlink(missing_ok=True)


class _Watch:
    """Looks after the instance while it is checked."""

    def __init__(self, build: Build, host: Surrogate) -> None:
        self.name = f"{build.recipe.name} ({host.instance.id})"
        self._cloud = host.cloud
        self._host = host
        self._path = build.directory / "logs" / CONSOLE

    def __call__(self) -> None:
        """Raises InstanceLostError if it has ended."""
        found = instances.find_instance(self._cloud, self._host.instance.id)
        if found is None or found["State"]["Name"] in instances.LOST:
            raise instances.lost(self._host.instance.id, found)

    def failure(self, brief: str, *, details: str = "", hint: str = "") -> KnitterError:
        """The error *brief*, with the end of the console."""
        lines = self.read_console().splitlines()[-_TAIL:]
        text = "\n".join(f"  {line}" for line in lines) or "  (nothing yet)"
        return KnitterError(brief, details=f"{details}\nconsole:\n{text}\nwhole console: {self._path}", hint=hint)

    def read_console(self) -> str:
        """The console, written down, too; "" if it cannot be had: it is only told of."""
        try:
            text = instances.console(self._cloud, self._host.instance.id)
        except KnitterError as error:
            say(error.brief)
            return ""
        self._path.write_text(text)
        return text


def _inspect(build: Build, work: Work, host: Surrogate, watch: _Watch) -> Findings:
    instance, recipe = host.instance, build.recipe
    address = GUEST_ADDRESS if host.cloud.name == "lab" else instance.addresses["private_ip"]
    place = Place(instance.root_volume.replace("-", ""), address, ("nvme", "xen"))
    probes = plan_checks(recipe, _FIRMWARES.get(instance.boot_mode, "bios"), now=time.time(), place=place)
    machine = host.connect()
    try:
        deadline = time.monotonic() + recipe.check.timeout
        return run_checks(machine, probes, watch, host_key=recipe.check.host_key, log=work.log, deadline=deadline)
    finally:
        machine.close()


def _facts(image: str, host: Surrogate, found: Findings) -> dict[str, JsonValue]:
    return {
        "image": image,
        "type": host.instance.type,
        "boot_mode": host.instance.boot_mode,
        "checks": list(found.passed),
        "kernel": found.kernel,
        "system": found.system,
    }

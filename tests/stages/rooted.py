"""A recipe on a shape of the synthetic distribution, as far as rootfs.tar."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from knitter.lock import Lock
from knitter.recipe.model import Recipe
from knitter.settings import Settings
from knitter.stages.build import Build
from knitter.stages.packages import Packages
from knitter.stages.rootfs import Rootfs
from knitter.stages.stage import ensure
from tests.stages.resolving import no_cloud
from tests.synthetic import Shape
from tests.synthetic.served import Served

OLD: Mapping[str, Any] = {
    "release": "6.9",
    "groups": ("core",),
    "install": (
        "kernel",
        "lvm2",
        "grub",
        "dracut",
        "openssh-server",
        "iptables",
        "yum",
        "rpm",
        "centos-release",
        "tzdata",
    ),
    "remove": ("yum-autoupdate",),
}
NEW: Mapping[str, Any] = {
    "release": "9",
    "module_platform": "platform:el9",
    "install": (
        "NetworkManager", "almalinux-release", "cloud-init", "dnf", "dracut-config-generic", "e2fsprogs", "kernel",
        "lvm2", "openssh-server", "passwd", "rpm", "selinux-policy-targeted", "sudo", "systemd", "tzdata", "util-linux",
    ),
}  # fmt: skip


class Rooted:
    """packages.lock and rootfs.tar of one recipe; its overlay is root/recipe/files."""

    def __init__(
        self, root: Path, shape: Shape, served: Served, packages: Mapping[str, Any], system: Mapping[str, Any]
    ):
        self.root = root
        repositories = tuple(
            {"id": name, "url": f"{served.url}/{one.path}", "signed_metadata": one.signed}
            for name, one in shape.repositories.items()
            if name != "newer"
        )
        keys = ({"url": f"{served.url}/{shape.key}", "fingerprint": served.distribution.fingerprint},)
        section = {"family": "redhat", "repositories": repositories, "keys": keys, **packages}
        values = {"name": shape.name, "directory": root / "recipe", "packages": section, "system": system}
        self._recipe = Recipe.model_validate(values)

    def build(self, name: str = "build") -> Build:
        """In a build directory of this name."""
        settings = {"build_directory": self.root / name, "cache_directory": self.root / "cache"}
        return Build(self._recipe, Settings.model_validate(settings), no_cloud)

    def make(self, name: str = "build") -> str:
        """Its digest."""
        stages = (Packages(), Rootfs())
        return [ensure(stage, self.build(name)).receipt.digest for stage in stages][-1]

    @property
    def log(self) -> str:
        return Rootfs().log_path(self.build()).read_text()

    @property
    def lock(self) -> Lock:
        return Packages().lock(self.build())

    def forget_bases(self) -> None:
        for path in (self.root / "cache/roots").iterdir():
            path.unlink()

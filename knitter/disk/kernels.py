"""What there is to start in a root tree: its kernels, and what it calls itself."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from knitter.disk.tree import Tree
from knitter.errors import KnitterError


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel in /boot."""

    version: str
    image: str
    """File name, such as `vmlinuz-6.1.0-40-cloud-amd64`."""
    initrd: str
    """File name of its initramfs."""


@dataclass(frozen=True, slots=True)
class Names:
    """How a family of distributions names things in /boot, and the packages that bring them."""

    initrd: str
    """File name, with `{}` for the kernel's version."""
    kernel_package: str
    initrd_package: str


FAMILIES: Final[Mapping[str, Names]] = {
    "debian": Names("initrd.img-{}", "linux-image-cloud-amd64", "initramfs-tools"),
    "redhat": Names("initramfs-{}.img", "kernel", "dracut"),
}

_IDENTITY: Final = """
ID=linux NAME=Linux
if [ -e /etc/os-release ]; then . /etc/os-release
elif [ -e /etc/system-release ]; then NAME=$(cat /etc/system-release)
fi
echo "$ID"
echo "$NAME"
"""


def find_kernels(tree: Tree, family: str) -> list[Kernel]:
    """The kernels in /boot, newest first.  Raises KnitterError if there is none, or one without an initramfs."""
    names = FAMILIES[family]
    images, initrds = tree.find("/boot/vmlinuz-*"), tree.find(f"/boot/{names.initrd.format('*')}")
    versions = [path.removeprefix("/boot/vmlinuz-") for path in images]
    if not versions:
        raise KnitterError(
            "the image has no kernel in /boot",
            hint=f"add one to packages.install in recipe.toml, such as {names.kernel_package}",
        )
    if bare := [one for one in versions if f"/boot/{names.initrd.format(one)}" not in initrds]:
        raise KnitterError(
            f"kernel {bare[0]} has no initramfs in /boot",
            hint=f"add {names.initrd_package} to packages.install in recipe.toml",
        )
    versions.sort(key=version_order, reverse=True)
    return [Kernel(one, f"vmlinuz-{one}", names.initrd.format(one)) for one in versions]


def identity_of(tree: Tree) -> tuple[str, str]:
    """ID and NAME of the distribution, such as `debian` and `Debian GNU/Linux`.  EL 6 has a name only."""
    identity, name = tree.run_script(_IDENTITY).splitlines()
    return identity, name


def version_order(version: str) -> list[tuple[int, int | str]]:
    """Sorts versions as people count: 6.1.9 before 6.1.10."""
    return [(1, int(part)) if part.isdigit() else (0, part) for part in re.findall(r"\d+|\D+", version)]

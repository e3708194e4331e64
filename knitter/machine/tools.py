"""The host's tools: which package brings each, so that a missing one is an instruction, not a riddle.

setup.sh asks here too: `python -m knitter.machine.tools debian build` prints the packages of what this host lacks.
"""

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from knitter.errors import KnitterError

FAMILIES: Final = ("debian", "fedora")
PACKAGES: Final[dict[str, tuple[str, str]]] = {
    # tool, or a file: (Debian and Ubuntu package, Fedora package)
    "apt-cache": ("apt", "apt"),
    "apt-ftparchive": ("apt-utils", "apt-utils"),
    "apt-get": ("apt", "apt"),
    "debugfs": ("e2fsprogs", "e2fsprogs"),
    "dnf-3": ("dnf", "python3-dnf"),
    "dpkg-deb": ("dpkg", "dpkg"),
    "gpgv": ("gpgv", "gnupg2"),
    "mcopy": ("mtools", "mtools"),
    "mke2fs": ("e2fsprogs", "e2fsprogs"),
    "mkfs.vfat": ("dosfstools", "dosfstools"),
    "mmd": ("mtools", "mtools"),
    "mmdebstrap": ("mmdebstrap", "mmdebstrap"),
    "mount": ("mount", "util-linux"),
    "newuidmap": ("uidmap", "shadow-utils"),
    "nsenter": ("util-linux", "util-linux"),
    "qemu-img": ("qemu-utils", "qemu-img"),
    "qemu-system-x86_64": ("qemu-system-x86", "qemu-system-x86"),
    "rpm": ("rpm", "rpm"),
    "rpmkeys": ("rpm", "rpm"),
    "setpriv": ("util-linux", "util-linux"),
    "sfdisk": ("fdisk", "util-linux"),
    "tar": ("tar", "tar"),
    "unshare": ("util-linux", "util-linux"),
    "zstd": ("zstd", "zstd"),
    "/usr/share/OVMF": ("ovmf", "edk2-ovmf"),
    "/usr/share/keyrings/debian-archive-keyring.gpg": ("debian-archive-keyring", "debian-keyring"),
}
ARM64_PACKAGES: Final[dict[str, tuple[str, str]]] = {
    # what only recipes of another architecture need: setup.sh leaves them alone
    "qemu-system-aarch64": ("qemu-system-arm", "qemu-system-aarch64"),
    "/usr/share/AAVMF": ("qemu-efi-aarch64", "edk2-aarch64"),
}
TEST_PACKAGES: Final[dict[str, tuple[str, str]]] = {
    # what only the tests need
    "createrepo_c": ("createrepo-c", "createrepo_c"),
    "e2fsck": ("e2fsprogs", "e2fsprogs"),
    "fsck.vfat": ("dosfstools", "dosfstools"),
    "getfacl": ("acl", "acl"),
    "getfattr": ("attr", "attr"),
    "gpg": ("gpg", "gnupg2"),
    "gpg-agent": ("gpg-agent", "gnupg2"),
    "losetup": ("mount", "util-linux"),
    "lvm": ("lvm2", "lvm2"),
    "rpmbuild": ("rpm", "rpm-build"),
    "rpmsign": ("rpm", "rpm-sign"),
    "setcap": ("libcap2-bin", "libcap"),
    "setfacl": ("acl", "acl"),
    "sshd": ("openssh-server", "openssh-server"),
}


def require(tools: Iterable[str]) -> None:
    """Raise KnitterError naming every tool of *tools* that this host lacks, and the packages that bring them."""
    missing = sorted(tool for tool in set(tools) if not find(tool))
    if missing:
        raise missing_tools(missing)


def find(tool: str) -> str | None:
    """The path of *tool*; /usr/sbin is searched too, which a user's PATH may lack.  A path is looked for as it is."""
    if tool.startswith("/"):
        return tool if Path(tool).exists() else None
    return shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin:/usr/local/sbin")


def missing_tools(tools: list[str]) -> KnitterError:
    """The error that says which packages bring *tools*."""
    debian, fedora = (" ".join(packages(tools, family)) for family in FAMILIES)
    return KnitterError(
        f"this host lacks {', '.join(tools)}",
        hint=f"run ./setup.sh, or: apt install {debian} (Debian, Ubuntu); dnf install {fedora} (Fedora)",
    )


def packages(tools: Iterable[str], family: str) -> list[str]:
    """The packages of *family* that bring *tools*, sorted."""
    column = FAMILIES.index(family)
    known = PACKAGES | ARM64_PACKAGES | TEST_PACKAGES
    return sorted({known[tool][column] if tool in known else tool for tool in tools})


def main(family: str, group: str) -> None:
    """Print the packages that this host lacks.  family: debian or fedora; group: build, or dev (build and tests)."""
    wanted = [*PACKAGES, *(TEST_PACKAGES if group == "dev" else {})]
    print(*packages((tool for tool in wanted if not find(tool)), family))


if __name__ == "__main__":
    main(*sys.argv[1:])

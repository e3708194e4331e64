"""The host's tools: which package brings each, so that a missing one is an instruction, not a riddle."""

import shutil
from collections.abc import Iterable
from typing import Final

from knitter.errors import KnitterError

PACKAGES: Final[dict[str, tuple[str, str]]] = {
    # tool: (Debian and Ubuntu package, Fedora package)
    "apt-cache": ("apt", "apt"),
    "apt-ftparchive": ("apt-utils", "apt-utils"),
    "apt-get": ("apt", "apt"),
    "dpkg-deb": ("dpkg", "dpkg"),
    "getfattr": ("attr", "attr"),
    "gpg": ("gpg", "gnupg2"),
    "gpgv": ("gpgv", "gnupg2"),
    "mcopy": ("mtools", "mtools"),
    "mke2fs": ("e2fsprogs", "e2fsprogs"),
    "mkfs.vfat": ("dosfstools", "dosfstools"),
    "mkswap": ("util-linux", "util-linux"),
    "mmdebstrap": ("mmdebstrap", "mmdebstrap"),
    "newuidmap": ("uidmap", "shadow-utils"),
    "nsenter": ("util-linux", "util-linux"),
    "qemu-img": ("qemu-utils", "qemu-img"),
    "qemu-system-aarch64": ("qemu-system-arm", "qemu-system-aarch64"),
    "qemu-system-x86_64": ("qemu-system-x86", "qemu-system-x86"),
    "setpriv": ("util-linux", "util-linux"),
    "sfdisk": ("fdisk", "util-linux"),
    "tar": ("tar", "tar"),
    "unshare": ("util-linux", "util-linux"),
    "zstd": ("zstd", "zstd"),
}


def require(tools: Iterable[str]) -> None:
    """Raise KnitterError naming every tool of *tools* that this host lacks, and the packages that bring them."""
    missing = sorted(tool for tool in set(tools) if not find(tool))
    if missing:
        raise missing_tools(missing)


def find(tool: str) -> str | None:
    """The path of *tool*; /usr/sbin is searched too, which a user's PATH may lack."""
    return shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin:/usr/local/sbin")


def missing_tools(tools: list[str]) -> KnitterError:
    """The error that says which packages bring *tools*."""
    debian = sorted({PACKAGES.get(tool, (tool, tool))[0] for tool in tools})
    fedora = sorted({PACKAGES.get(tool, (tool, tool))[1] for tool in tools})
    return KnitterError(
        f"this host lacks {', '.join(tools)}",
        hint=f"run ./setup.sh, or: apt install {' '.join(debian)} (Debian, Ubuntu); "
        f"dnf install {' '.join(fedora)} (Fedora)",
    )

"""GRUB 2 as EL9 has it: its files and names, and Boot Loader Specification entries.

Debian 12's GRUB knows no such entries; that of Debian's testing does.  Its programs bring the libraries they need into
a directory of their own.
"""

import re
from pathlib import Path
from typing import Final

from knitter.cache import Cache
from tests.synthetic import debs
from tests.synthetic.debs import run
from tests.synthetic.slices import put

HOME: Final = "/usr/libexec/grub2"
_RELEASE: Final = "forky"
_DEBIAN: Final = ("grub-efi-amd64-bin", "grub-pc-bin", "grub2-common")
_LIBRARIES: Final = ("libc6", "libcap2", "libdevmapper1.02.1", "liblzma5", "libpcre2-8-0", "libselinux1", "libudev1")
_FILES: Final = (
    # pattern -> where it goes, in which package
    (r"/usr/lib/grub/i386-pc/([^/]+)", r"/usr/lib/grub/i386-pc/\1", "grub2-pc-modules"),
    (r"/usr/lib/grub/x86_64-efi/([^/]+)", r"/usr/lib/grub/x86_64-efi/\1", "grub2-efi-x64-modules"),
    (r"/usr/s?bin/grub-(mkimage|script-check)", rf"{HOME}/grub-\1", "grub2-tools"),
    (r"/usr/s?bin/grub-(editenv|mkrelpath|probe)", rf"{HOME}/grub-\1", "grub2-tools-minimal"),
    (r"/usr/share/grub/unicode\.pf2", "/usr/share/grub/unicode.pf2", "grub2-common"),
    (
        r"/usr/lib/x86_64-linux-gnu/((?:ld-linux-x86-64|lib(?:c|cap|devmapper|lzma|m|pcre2-8|pthread|selinux|udev))\.so.*)",
        rf"{HOME}/lib/\1",
        "grub2-tools-minimal",
    ),
)
_MODULES: Final = (
    "all_video", "blscfg", "boot", "cat", "configfile", "echo", "ext2", "fat", "font", "gfxmenu", "gfxterm", "gzio",
    "halt", "linux", "loadenv", "loopback", "lvm", "minicmd", "normal", "part_gpt", "part_msdos", "reboot", "regexp",
    "search", "search_fs_file", "search_fs_uuid", "search_label", "serial", "sleep", "test", "xfs", "zstd",
)  # fmt: skip
_IMAGE: Final = "/boot/efi/EFI/almalinux/grubx64.efi"


def lay(tree: Path, cache: Cache, work: Path) -> dict[str, str]:
    """Put GRUB's files into *tree*; path -> package."""
    found = debs.resolve(_RELEASE, _DEBIAN)
    packages = [one for one in found if one.name in {*_DEBIAN, *_LIBRARIES}]
    debs.bring(packages, cache)
    made = {}
    for deb in debs.unpack(packages, cache, work):
        for path in deb.files:
            if there := _where(path):
                made[there[0]] = there[1]
                put(tree, there[0], Path(f"{work}{path}"))
    return made | _named_as_red_hat(tree) | _image(tree)


def _where(path: str) -> tuple[str, str] | None:
    for pattern, target, package in _FILES:
        if match := re.fullmatch(pattern, path):
            return match.expand(target), package
    return None


def _named_as_red_hat(tree: Path) -> dict[str, str]:
    """The module that reads the entries is `blscfg` there; its name is in itself, and in the lists."""
    made = {}
    for folder, package in (("i386-pc", "grub2-pc-modules"), ("x86_64-efi", "grub2-efi-x64-modules")):
        home = tree / "usr/lib/grub" / folder
        module = (home / "blsuki.mod").read_bytes().replace(b"\0blsuki\0", b"\0blscfg\0")
        (home / "blscfg.mod").write_bytes(module)
        (home / "blsuki.mod").unlink()
        for name in ("command.lst", "moddep.lst"):
            (home / name).write_text((home / name).read_text().replace("blsuki", "blscfg"))
        made[f"/usr/lib/grub/{folder}/blscfg.mod"] = package
    return made


def _image(tree: Path) -> dict[str, str]:
    """The boot loader that the package grub2-efi-x64 brings, which on real ones is signed."""
    home, output = Path(f"{tree}{HOME}"), Path(f"{tree}{_IMAGE}")
    output.parent.mkdir(parents=True, exist_ok=True)
    loader = (home / "lib/ld-linux-x86-64.so.2", "--library-path", home / "lib")
    target = ("--format=x86_64-efi", f"--directory={tree}/usr/lib/grub/x86_64-efi", "--prefix=/EFI/almalinux")
    run(*loader, home / "grub-mkimage", *target, f"--output={output}", *_MODULES)
    return {_IMAGE: "grub2-efi-x64"}

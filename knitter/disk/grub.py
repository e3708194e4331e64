"""GRUB 2, with the image's own programs: what grub-install and update-grub would put into the tree.

No device is needed: what grub-install asks one for, the ids of the file systems, the layout knows.

    BIOS    /boot/grub/i386-pc/{*.mod,boot.img,core.img}; knitter.disk.embed writes the two images onto the disk
    UEFI    EFI/BOOT/BOOTX64.EFI: the distribution's signed shim and GRUB if the image has them, else an image made here
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from knitter.disk import grub_config
from knitter.disk.geometry import Layout
from knitter.disk.grub_config import Kernel, Place
from knitter.disk.tree import Tree
from knitter.errors import KnitterError, RecipeError
from knitter.recipe.boot import Boot, Firmware
from knitter.recipe.partitions import Esp
from knitter.recipe.packages import Architecture

ENABLE_CLOUD: Final = "/etc/grub.d/enable_cloud"
"""If this file is there, and only then, the package grub-cloud installs both loaders anew on each upgrade of GRUB."""


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of firmware on one architecture, as GRUB knows it."""

    platform: str
    package: str
    """The Debian package that brings its modules."""
    efi: str = ""
    """UEFI's name of the architecture, as in BOOTX64.EFI; empty: BIOS."""

    @property
    def signed(self) -> tuple[str, str]:
        """Shim and GRUB as the distribution signed them."""
        name = self.efi.lower()
        return f"/usr/lib/shim/shim{name}.efi.signed", f"/usr/lib/grub/{self.platform}-signed/grub{name}.efi.signed"


_BIOS: Final[Mapping[Architecture, Target]] = {"x86_64": Target("i386-pc", "grub-pc-bin")}
_UEFI: Final[Mapping[Architecture, Target]] = {
    "x86_64": Target("x86_64-efi", "grub-efi-amd64-bin", "X64"),
    "arm64": Target("arm64-efi", "grub-efi-arm64-bin", "AA64"),
}

# $1: platform.  The modules, where grub-install puts them; kernel.img and the like are only grub-mkimage's.
_COPY_MODULES: Final = """
mkdir -p "/boot/grub/$1"
cd "/usr/lib/grub/$1"
cp *.mod *.lst modinfo.sh "/boot/grub/$1/"
for one in boot.img efiemu32.o efiemu64.o; do if [ -e "$one" ]; then cp "$one" "/boot/grub/$1/"; fi; done
"""

# $1: platform, $2: GRUB's directory, $3: output, then modules
_MAKE_IMAGE: Final = """
platform=$1 prefix=$2 output=$3
shift 3
mkdir -p "${output%/*}"
grub-mkimage --format="$platform" --prefix="$prefix" --config="/boot/grub/$platform/load.cfg" --output="$output" "$@"
"""

# $1: mount point of the ESP, $2: vendor, $3: X64, $4: x64, $5: shim, $6: GRUB.  As `grub-install --uefi-secure-boot
# --force-extra-removable`, but no fbx64.efi beside BOOTX64.EFI: it would write boot entries and start again each time.
_COPY_SIGNED: Final = """
mkdir -p "$1/EFI/BOOT" "$1/EFI/$2"
cp "$5" "$1/EFI/BOOT/BOOT$3.EFI"
cp "$5" "$1/EFI/$2/shim$4.efi"
for folder in BOOT "$2"; do
    cp "$6" "$1/EFI/$folder/grub$4.efi"
    cp "/usr/lib/shim/mm$4.efi.signed" "$1/EFI/$folder/mm$4.efi"
done
cp "/usr/lib/shim/fb$4.efi.signed" "$1/EFI/$2/fb$4.efi"
cp "/usr/lib/shim/BOOT$3.CSV" "$1/EFI/$2/"
"""


def targets_of(firmware: Firmware, architecture: Architecture) -> list[Target]:
    """What the disk must boot from.  Raises RecipeError for BIOS on an architecture that has none."""
    if firmware != "uefi" and architecture not in _BIOS:
        raise RecipeError(f"{architecture} has no BIOS", hint='write firmware = "uefi" in [boot]')
    bios = [_BIOS[architecture]] if firmware in ("bios", "both") else []
    uefi = [_UEFI[architecture]] if firmware in ("uefi", "both") else []
    return [*bios, *uefi]


def install(tree: Tree, layout: Layout, boot: Boot, targets: list[Target]) -> list[Kernel]:
    """Put into *tree* all that GRUB reads; the kernels it can start, newest first.

    Raises KnitterError naming the package to add if the image lacks a kernel or GRUB for one of *targets*.
    """
    _require_grub(tree, targets)
    kernels = find_kernels(tree)
    place = grub_config.place_of_boot(layout)
    tree.put(_texts(tree, layout, boot, kernels) | {_load_path(one): _load(place) for one in targets})
    for target in targets:
        tree.run_script(_COPY_MODULES, target.platform)
        if target.efi:
            _install_uefi(tree, layout, target)
        else:
            modules = ("biosdisk", *_modules(layout))
            _make_image(tree, place, target, f"/boot/grub/{target.platform}/core.img", modules)
    return kernels


def find_kernels(tree: Tree) -> list[Kernel]:
    """The kernels in /boot, newest first.  Raises KnitterError if there is none, or one without an initramfs."""
    images, initrds = tree.find("/boot/vmlinuz-*"), tree.find("/boot/initrd.img-*")
    versions = [path.removeprefix("/boot/vmlinuz-") for path in images]
    if not versions:
        raise KnitterError(
            "the image has no kernel in /boot",
            hint="add one to packages.install in recipe.toml, such as linux-image-cloud-amd64",
        )
    if bare := [one for one in versions if f"/boot/initrd.img-{one}" not in initrds]:
        raise KnitterError(
            f"kernel {bare[0]} has no initramfs in /boot", hint="add initramfs-tools to packages.install in recipe.toml"
        )
    versions.sort(key=grub_config.version_order, reverse=True)
    return [Kernel(one, f"vmlinuz-{one}", f"initrd.img-{one}") for one in versions]


def _require_grub(tree: Tree, targets: list[Target]) -> None:
    wanted = {one.package: f"/usr/lib/grub/{one.platform}/modinfo.sh" for one in targets}
    wanted["grub-common"] = "/usr/bin/grub-mkimage"
    present = tree.find(*wanted.values())
    if missing := sorted(package for package, path in wanted.items() if path not in present):
        raise KnitterError(
            f"the image lacks {', '.join(missing)}: boot.firmware needs it",
            hint="add to packages.install in recipe.toml: " + ", ".join(f'"{name}"' for name in missing),
        )


def _texts(tree: Tree, layout: Layout, boot: Boot, kernels: list[Kernel]) -> dict[str, bytes]:
    menu = grub_config.menu_text(
        grub_config.place_of_boot(layout),
        kernels,
        title=_os_release(tree)[1],
        root_id=layout.root.source_id,
        arguments=boot.arguments,
    )
    cloud = {ENABLE_CLOUD: b""} if boot.firmware == "both" else {}
    return cloud | {
        grub_config.DEFAULTS: grub_config.defaults_text(boot.arguments).encode(),
        grub_config.MENU: menu.encode(),
        grub_config.ENVIRONMENT: grub_config.environment_block(),
    }


def _install_uefi(tree: Tree, layout: Layout, target: Target) -> None:
    esp = next(one.mount for one in layout.slices if isinstance(one.partition, Esp))
    place = grub_config.place_of_boot(layout)
    if tree.find(*target.signed) != sorted(target.signed):
        modules = (*_modules(layout), "fat", "normal", "configfile")
        _make_image(tree, place, target, f"{esp}/EFI/BOOT/BOOT{target.efi}.EFI", modules)
        return
    vendor = _os_release(tree)[0]
    tree.run_script(_COPY_SIGNED, esp, vendor, target.efi, target.efi.lower(), *target.signed)
    stub = grub_config.stub_text(place).encode()
    tree.put({f"{esp}/EFI/{folder}/grub.cfg": stub for folder in ("BOOT", vendor)})


def _make_image(tree: Tree, place: Place, target: Target, output: str, modules: tuple[str, ...]) -> None:
    tree.run_script(_MAKE_IMAGE, target.platform, place.prefix, output, *modules)


def _modules(layout: Layout) -> tuple[str, ...]:
    """What GRUB must know by itself until it finds /boot; the rest it loads from there."""
    table = {"gpt": "part_gpt", "msdos": "part_msdos"}[layout.label]
    return table, {"ext4": "ext2", "vfat": "fat"}[layout.holding("/boot").filesystem], "search_fs_uuid"


def _load_path(target: Target) -> str:
    return f"/boot/grub/{target.platform}/load.cfg"


def _load(place: Place) -> bytes:
    return grub_config.load_text(place).encode()


def _os_release(tree: Tree) -> tuple[str, str]:
    """ID and NAME of the distribution, such as `debian` and `Debian GNU/Linux`."""
    text = 'if [ -e /etc/os-release ]; then . /etc/os-release; fi; echo "${ID:-linux}"; echo "${NAME:-Linux}"'
    identity, name = tree.run_script(text).splitlines()
    return identity, name

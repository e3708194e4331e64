"""GRUB 2, with the image's own programs: what grub-install and update-grub would put into the tree.

No device is needed: what grub-install asks one for, the ids of the file systems, the layout knows.

    BIOS    /boot/grub/i386-pc/{*.mod,boot.img,core.img}; knitter.disk.embed writes the two images onto the disk
    UEFI    EFI/BOOT/BOOTX64.EFI: the distribution's signed shim and GRUB if the image has them, else an image made here
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from knitter.disk import embed, grub_config
from knitter.disk.geometry import Layout
from knitter.disk.grub_config import Menu, Place
from knitter.disk.grub_debian import DEBIAN
from knitter.disk.grub_family import Family, Target
from knitter.disk.grub_redhat import REDHAT
from knitter.disk.image import Image
from knitter.disk.kernels import Kernel, find_kernels, identity_of
from knitter.disk.tree import Tree
from knitter.errors import KnitterError, RecipeError
from knitter.recipe.boot import Boot, Firmware
from knitter.recipe.packages import Architecture
from knitter.recipe.partitions import Esp

FAMILIES: Final[Mapping[str, Family]] = {"debian": DEBIAN, "redhat": REDHAT}

_BIOS: Final[Mapping[Architecture, Target]] = {"x86_64": Target("i386-pc")}
_UEFI: Final[Mapping[Architecture, Target]] = {
    "x86_64": Target("x86_64-efi", "X64"),
    "arm64": Target("arm64-efi", "AA64"),
}

# $1: platform, $2: GRUB's folder.  The modules, where grub-install puts them; kernel.img and the like are only
# grub-mkimage's.
_COPY_MODULES: Final = """
mkdir -p "$2/$1"
cd "/usr/lib/grub/$1"
cp *.mod *.lst modinfo.sh "$2/$1/"
for one in boot.img efiemu32.o efiemu64.o; do if [ -e "$one" ]; then cp "$one" "$2/$1/"; fi; done
"""

# $1: grub-mkimage, $2: platform, $3: load.cfg, $4: GRUB's directory, $5: output, then modules
_MAKE_IMAGE: Final = """
maker=$1 platform=$2 config=$3 prefix=$4 output=$5
shift 5
mkdir -p "${output%/*}"
"$maker" --format="$platform" --prefix="$prefix" --config="$config" --output="$output" "$@"
"""


def targets_of(firmware: Firmware, architecture: Architecture) -> list[Target]:
    """What the disk must boot from.  Raises RecipeError for BIOS on an architecture that has none."""
    if firmware != "uefi" and architecture not in _BIOS:
        raise RecipeError(f"{architecture} has no BIOS", hint='write firmware = "uefi" in [boot]')
    bios = [_BIOS[architecture]] if firmware in ("bios", "both") else []
    uefi = [_UEFI[architecture]] if firmware in ("uefi", "both") else []
    return [*bios, *uefi]


def install(tree: Tree, layout: Layout, boot: Boot, targets: list[Target], family: str) -> list[Kernel]:
    """Put into *tree*, of *family*, all that GRUB reads; the kernels it can start, newest first.

    Raises KnitterError naming the package to add if the image lacks a kernel or GRUB for one of *targets*.
    """
    work = _Work(tree, layout, FAMILIES[family])
    signed = {one for one in targets if one.efi and work.family.has_signed(tree, work.esp, one)}
    bare = [one for one in targets if one in signed and not work.family.signed_loads_modules]
    maker = work.require_grub([one for one in targets if one not in bare])
    kernels = find_kernels(tree, family)
    menu = work.menu(boot, kernels)
    load = grub_config.load_text(menu.place).encode()
    tree.put(work.family.texts(tree, menu) | {work.load_path(one): load for one in targets if one not in bare})
    for target in targets:
        if target not in bare:
            tree.run_script(_COPY_MODULES, target.platform, work.folder)
        if target in signed:
            work.family.put_signed(tree, work.esp, target, menu)
        else:
            work.make_image(maker, target)
    return kernels


def embed_into(image: Image, tree: Tree, layout: Layout, targets: list[Target], family: str) -> None:
    """Make *image* boot from BIOS, if that is among *targets*, what was installed into *tree*."""
    work = _Work(tree, layout, FAMILIES[family])
    for target in targets:
        if not target.efi:
            boot, core = (tree.read(f"{work.folder}/{target.platform}/{name}.img") for name in ("boot", "core"))
            embed.embed(image.outside, layout, boot_image=boot, core_image=core)


@dataclass(frozen=True, slots=True)
class _Work:
    tree: Tree
    layout: Layout
    family: Family

    @property
    def folder(self) -> str:
        """GRUB's own in the tree."""
        return f"/boot/{self.family.folder}"

    @property
    def esp(self) -> str:
        """Mount point of the ESP, if there is one."""
        return next((one.mount for one in self.layout.slices if isinstance(one.partition, Esp)), "")

    @property
    def place(self) -> Place:
        return grub_config.place_of_boot(self.layout, self.family.folder)

    def menu(self, boot: Boot, kernels: list[Kernel]) -> Menu:
        title = identity_of(self.tree)[1]
        return Menu(self.place, kernels, title, self.layout.root.root_argument, boot.arguments, boot.firmware)

    def require_grub(self, targets: list[Target]) -> str:
        """The path of grub-mkimage.  Raises KnitterError if it, or the modules for one of *targets*, is missing."""
        makers = self.tree.find(*self.family.makers)
        modules = {one.platform: f"/usr/lib/grub/{one.platform}/modinfo.sh" for one in targets}
        present = self.tree.find(*modules.values()) if modules else []
        lacking = [platform for platform, path in modules.items() if path not in present]
        if missing := sorted(
            self.family.packages[one] for one in [*lacking, *([] if makers or not targets else ["maker"])]
        ):
            raise KnitterError(
                f"the image lacks {', '.join(missing)}: boot.firmware needs it",
                hint="add to packages.install in recipe.toml: " + ", ".join(f'"{name}"' for name in missing),
            )
        return next((one for one in self.family.makers if one in makers), "")

    def make_image(self, maker: str, target: Target) -> None:
        """Without a device: GRUB's core, that finds /boot by the id of its file system."""
        if target.efi:
            output, more = f"{self.esp}/EFI/BOOT/BOOT{target.efi}.EFI", ("fat", "normal", "configfile")
            modules = (*self._modules(), *more)
        else:
            output, modules = f"{self.folder}/{target.platform}/core.img", ("biosdisk", *self._modules())
        self.tree.run_script(
            _MAKE_IMAGE, maker, target.platform, self.load_path(target), self.place.prefix, output, *modules
        )

    def load_path(self, target: Target) -> str:
        return f"{self.folder}/{target.platform}/load.cfg"

    def _modules(self) -> tuple[str, ...]:
        """What GRUB must know by itself until it finds /boot; the rest it loads from there."""
        holder = self.layout.holding("/boot")
        table = {"gpt": "part_gpt", "msdos": "part_msdos"}[self.layout.label]
        volumes = ("lvm",) if holder.group else ()
        return table, *volumes, {"ext4": "ext2", "vfat": "fat"}[holder.filesystem], "search_fs_uuid"

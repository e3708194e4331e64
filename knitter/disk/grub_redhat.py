"""GRUB 2 as Fedora, EL and their kin have it.

/etc/default/grub                the recipe's arguments, for grub2-mkconfig and grubby in the running image
/etc/kernel/cmdline              the same for kernel-install, which writes the entry of each kernel that comes later
/boot/loader/entries/*.conf      one entry for each kernel, where GRUB has the command blscfg (EL 8 and later)
/boot/grub2/grub.cfg             a menu that reads them; or, in older releases, one with entries of its own
/boot/efi/EFI/<vendor>           the signed loaders, where their packages put them; GRUB reads grub.cfg beside it

Entries: https://uapi-group.org/specifications/specs/boot_loader_specification/, in the older dialect of grub2's own
20-grub.install: options in full, paths as GRUB sees them.
"""

from pathlib import PurePosixPath
from typing import Final

from knitter.disk.grub_config import Menu, environment_block, head, menu_text, serial_command, stub_text, terminals
from knitter.disk.grub_family import Family, Target
from knitter.disk.kernels import Kernel
from knitter.disk.tree import Tree

ENTRIES: Final = "/boot/loader/entries"
PREFERENCES: Final = "/etc/sysconfig/kernel"
_ENTRY_ID: Final = "~knitter"
"""Stands where an entry's file name has the machine's id, by which blscfg sorts first, and only then by version: so
that a kernel which comes later, with whatever id the machine has by then, is above those of the image.  Red Hat's GRUB
compares as rpm does, GRUB's own blsuki as GNU ls -v: to both, a tilde is before everything."""

_DEFAULT: Final = (
    'if [ "${next_entry}" ]; then',
    '\tset default="${next_entry}"',
    "\tset next_entry=",
    "\tsave_env next_entry",
    "else",
    '\tset default="${saved_entry}"',
    "fi",
)
_LOAD_VIDEO: Final = (
    "function load_video {",
    "\tif [ x$feature_all_video_module = xy ]; then insmod all_video; fi",
    "}",
)
"""blscfg's entries call it."""
_BLSCFG: Final = {
    "variable": ("set blsdir={entries}", "blscfg"),
    "option": ("blscfg --path {entries}",),
}
"""For entries elsewhere than in /loader/entries of GRUB's root."""
_NOTE: Final = "# Written by knitter; grub2-mkconfig replaces it with its like."

# How GRUB's command blscfg is told a directory, if it has that command, as a module or built into the signed one:
# Red Hat's by a variable; GRUB's own, which is of blsuki, by an option.
_FIND_BLSCFG: Final = """
for one in /usr/lib/grub/*/blscfg.mod /usr/lib/grub/*/blsuki.mod /boot/efi/EFI/*/grub*.efi; do
    if [ -e "$one" ] && grep -q blscfg "$one"; then
        if grep -q blsuki "$one"; then echo option; else echo variable; fi
        exit
    fi
done
"""

# $1: EFI, $2: the vendor's folder there, $3: X64, $4: x64.  Where shim comes with fbx64.efi, as a removable disk it
# starts the vendor's folder by itself; else GRUB must lie beside it.
_MAKE_REMOVABLE: Final = """
mkdir -p "$1/BOOT"
for one in "$2/grub$4.efi" "$2/shim$4.efi"; do
    if [ -e "$one" ] && [ ! -e "$1/BOOT/fb$4.efi" ]; then cp "$one" "$1/BOOT/BOOT$3.EFI"; fi
done
if [ ! -e "$1/BOOT/fb$4.efi" ]; then
    for one in "grub$4.efi" "mm$4.efi"; do if [ -e "$2/$one" ]; then cp "$2/$one" "$1/BOOT/"; fi; done
fi
"""


def defaults_text(arguments: str, *, bls: bool) -> str:
    """/etc/default/grub, the whole of it: these distributions read no other file.  bls: whether GRUB has blscfg."""
    serial = serial_command(arguments)
    lines = [
        "# Written by knitter from the section [boot] of the recipe.",
        "GRUB_TIMEOUT=0",
        "GRUB_DISTRIBUTOR=\"$(sed 's, release .*$,,g' /etc/system-release)\"",
        "GRUB_DEFAULT=saved" if bls else "GRUB_DEFAULT=0",
        "GRUB_DISABLE_SUBMENU=true",
        f'GRUB_TERMINAL="{terminals(serial)}"',
        *([f'GRUB_SERIAL_COMMAND="{serial}"'] if serial else []),
        f'GRUB_CMDLINE_LINUX="{arguments}"',
        'GRUB_DISABLE_RECOVERY="true"',
        f"GRUB_ENABLE_BLSCFG={'true' if bls else 'false'}",
    ]
    return "\n".join(lines) + "\n"


def entry_path(kernel: Kernel) -> str:
    """The file of a kernel's entry."""
    return f"{ENTRIES}/{_ENTRY_ID}-{kernel.version}.conf"


def entry_text(menu: Menu, kernel: Kernel) -> str:
    """A kernel's entry."""
    directory = menu.place.directory
    lines = [
        f"title {menu.title} ({kernel.version})",
        f"version {kernel.version}",
        f"linux {directory}/{kernel.image}",
        f"initrd {directory}/{kernel.initrd}",
        f"options {menu.command_line}",
        "grub_users $grub_users",
        "grub_arg --unrestricted",
        "grub_class linux",
    ]
    return "\n".join(lines) + "\n"


def bls_text(menu: Menu, kind: str) -> str:
    """The menu that reads the entries.  kind: how blscfg is told where they are, of _BLSCFG."""
    lines = [line.format(entries=ENTRIES) for line in _BLSCFG[kind]] if menu.place.directory else ["blscfg"]
    return "\n".join([*head(menu, _NOTE, _DEFAULT), *_LOAD_VIDEO, *lines]) + "\n"


def preferences_text(*, bls: bool) -> str:
    """/etc/sysconfig/kernel, as installers write it: a new kernel is the one to start."""
    return f"UPDATEDEFAULT=yes\nDEFAULTKERNEL={'kernel-core' if bls else 'kernel'}\n"


def _texts(tree: Tree, menu: Menu) -> dict[str, bytes]:
    kind = tree.run_script(_FIND_BLSCFG).strip()
    bls = bool(kind)
    texts = {
        "/etc/default/grub": defaults_text(menu.arguments, bls=bls),
        "/etc/kernel/cmdline": f"{menu.command_line}\n",
        "/boot/grub2/grub.cfg": bls_text(menu, kind) if bls else menu_text(menu, _NOTE),
    }
    if not tree.find(PREFERENCES):
        texts[PREFERENCES] = preferences_text(bls=bls)
    if bls:
        tree.run_script('rm -f "$1"/*.conf', ENTRIES)  # of the same kernels, written before their arguments were known
        texts |= {entry_path(kernel): entry_text(menu, kernel) for kernel in menu.kernels}
    return {path: text.encode() for path, text in texts.items()} | {"/boot/grub2/grubenv": environment_block()}


def _vendor(tree: Tree, esp: str, target: Target) -> str:
    """The folder with GRUB as it was signed; empty if there is none."""
    found = [PurePosixPath(path).parent for path in tree.find(f"{esp}/EFI/*/grub{target.efi.lower()}.efi")]
    return next((str(folder) for folder in found if folder.name != "BOOT"), "")


def _has_signed(tree: Tree, esp: str, target: Target) -> bool:
    return bool(_vendor(tree, esp, target))


def _put_signed(tree: Tree, esp: str, target: Target, menu: Menu) -> None:
    vendor = _vendor(tree, esp, target)
    tree.run_script(_MAKE_REMOVABLE, f"{esp}/EFI", vendor, target.efi, target.efi.lower())
    stub = stub_text(menu.place).encode()
    tree.put({f"{folder}/grub.cfg": stub for folder in (f"{esp}/EFI/BOOT", vendor)})


REDHAT: Final = Family(
    folder="grub2",
    makers=("/usr/bin/grub2-mkimage", "/usr/bin/grub-mkimage"),
    packages={
        "maker": "grub2-tools",
        "i386-pc": "grub2-pc-modules",
        "x86_64-efi": "grub2-efi-x64-modules",
        "arm64-efi": "grub2-efi-aa64-modules",
    },
    texts=_texts,
    has_signed=_has_signed,
    put_signed=_put_signed,
    signed_loads_modules=False,
)

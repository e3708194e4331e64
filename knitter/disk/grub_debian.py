"""GRUB 2 as Debian and Ubuntu have it.

/etc/default/grub.d/50-knitter.cfg   the recipe's arguments, for every later update-grub in the running image
/boot/grub/grub.cfg                  what GRUB reads now; update-grub replaces it
/usr/lib/shim, /usr/lib/grub/*       the signed loaders, which grub-install would copy to the ESP
"""

from typing import Final

from knitter.disk.grub_config import Menu, environment_block, menu_text, serial_command, stub_text, terminals
from knitter.disk.grub_family import Family, Target
from knitter.disk.kernels import identity_of
from knitter.disk.tree import Tree

DEFAULTS: Final = "/etc/default/grub.d/50-knitter.cfg"
ENABLE_CLOUD: Final = "/etc/grub.d/enable_cloud"
"""If this file is there, and only then, the package grub-cloud installs both loaders anew on each upgrade of GRUB."""
NOTE: Final = "# Written by knitter; update-grub replaces it with its like."

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


def defaults_text(arguments: str) -> str:
    """Settings for update-grub.  A file of its own: /etc/default/grub belongs to a package."""
    serial = serial_command(arguments)
    lines = [
        "# Written by knitter from the section [boot] of the recipe.",
        "GRUB_TIMEOUT=0",
        'GRUB_CMDLINE_LINUX_DEFAULT=""',
        f'GRUB_CMDLINE_LINUX="{arguments}"',
        f'GRUB_TERMINAL="{terminals(serial)}"',
        *([f'GRUB_SERIAL_COMMAND="{serial}"'] if serial else []),
        "GRUB_DISABLE_OS_PROBER=true",
    ]
    return "\n".join(lines) + "\n"


def _texts(_tree: Tree, menu: Menu) -> dict[str, bytes]:
    return ({ENABLE_CLOUD: b""} if menu.firmware == "both" else {}) | {
        DEFAULTS: defaults_text(menu.arguments).encode(),
        "/boot/grub/grub.cfg": menu_text(menu, NOTE).encode(),
        "/boot/grub/grubenv": environment_block(),
    }


def _signed(target: Target) -> tuple[str, str]:
    """Shim and GRUB as the distribution signed them."""
    name = target.efi.lower()
    return f"/usr/lib/shim/shim{name}.efi.signed", f"/usr/lib/grub/{target.platform}-signed/grub{name}.efi.signed"


def _has_signed(tree: Tree, _esp: str, target: Target) -> bool:
    return tree.find(*_signed(target)) == sorted(_signed(target))


def _put_signed(tree: Tree, esp: str, target: Target, menu: Menu) -> None:
    vendor = identity_of(tree)[0]
    tree.run_script(_COPY_SIGNED, esp, vendor, target.efi, target.efi.lower(), *_signed(target))
    stub = stub_text(menu.place).encode()
    tree.put({f"{esp}/EFI/{folder}/grub.cfg": stub for folder in ("BOOT", vendor)})


DEBIAN: Final = Family(
    folder="grub",
    makers=("/usr/bin/grub-mkimage",),
    packages={
        "maker": "grub-common",
        "i386-pc": "grub-pc-bin",
        "x86_64-efi": "grub-efi-amd64-bin",
        "arm64-efi": "grub-efi-arm64-bin",
    },
    texts=_texts,
    has_signed=_has_signed,
    put_signed=_put_signed,
    signed_loads_modules=True,
)

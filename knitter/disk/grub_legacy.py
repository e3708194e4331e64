"""GRUB 0.97, by the image's own shell on the plain file.

/boot/grub/{stage1,stage2,*_stage1_5}   from where the image's package keeps them
/boot/grub/grub.conf                    the menu; menu.lst and /etc/grub.conf are links to it, as grubby expects
/boot/boot                              a link to /boot itself, so that paths with and without /boot are right

The shell reads the disk's file systems itself, so they must be filled before; it writes sector 0 around the partition
table, stage 1.5 into the gap behind it, and into stage 2 where its menu lies.
"""

import re
from typing import Final

from knitter.command import command
from knitter.disk.geometry import Layout
from knitter.disk.grub_config import serial_command, terminals
from knitter.disk.image import Image
from knitter.disk.kernels import Kernel, find_kernels, identity_of
from knitter.disk.tree import Tree
from knitter.errors import CommandError, KnitterError
from knitter.recipe.boot import Boot

_FOLDER: Final = "/boot/grub"
_MENU: Final = f"{_FOLDER}/grub.conf"
_PREFERENCES: Final = "/etc/sysconfig/kernel"
_SHELLS: Final = ("/sbin/grub", "/usr/sbin/grub")
_STAGES: Final = ("/usr/share/grub/*/stage1", "/usr/lib/grub/*/stage1")
_DONE: Final = re.compile(r'Running "install .*succeeded')
_FAILED: Final = re.compile(r"Error \d+: .*")
_NO_INTERPRETER: Final = 127
_NOT_EXECUTABLE: Final = 126

# $1: where the package keeps the stages
_INSTALL: Final = """
cp "$1"/*stage* /boot/grub/
ln -sfn grub.conf /boot/grub/menu.lst
ln -sfn ../boot/grub/grub.conf /etc/grub.conf
ln -sfn . /boot/boot
"""

# $1: tree, $2: disk, $3: GRUB's shell.  In /dev, which is the one place where nothing of the tree can be in the way.
_SHELL: Final = """
mount -t tmpfs -o mode=0755 tmpfs "$1/dev"
: > "$1/dev/disk"
mount --bind "$2" "$1/dev/disk"
exec chroot "$1" "$3" --batch --no-floppy --device-map=/dev/null
"""


def install(tree: Tree, layout: Layout, boot: Boot, family: str) -> list[Kernel]:
    """Put into *tree*, of *family*, all that GRUB reads; the kernels it can start, newest first.

    Raises KnitterError if the image lacks a kernel or GRUB.
    """
    stages = tree.find(*_STAGES)
    if not stages or not tree.find(*_SHELLS):
        raise KnitterError(
            "the image lacks GRUB 0.97: boot.loader needs it", hint='add to packages.install in recipe.toml: "grub"'
        )
    kernels = find_kernels(tree, family)
    menu = menu_text(layout, kernels, title=identity_of(tree)[1], arguments=boot.arguments)
    texts = {_MENU: menu.encode()}
    if not tree.find(_PREFERENCES):
        texts[_PREFERENCES] = b"UPDATEDEFAULT=yes\nDEFAULTKERNEL=kernel\n"
    tree.put(texts)
    tree.run_script(_INSTALL, stages[0].removesuffix("/stage1"))
    tree.run("mkdir", "-p", "/dev")
    return kernels


def embed_into(image: Image, tree: Tree, layout: Layout) -> None:
    """Make *image*, whose file systems are filled, boot.  Raises KnitterError with what GRUB says."""
    shell = tree.find(*_SHELLS)[0]
    lines = f"device (hd0) /dev/disk\nroot {_device(layout)}\nsetup (hd0)\nquit\n"
    enter = ("unshare", "--mount", "sh", "-euc", _SHELL, "sh", tree.path, image.path, shell)
    try:
        said = image.run(command(*enter, stdin=lines)).text
    except CommandError as error:
        if error.code in (_NOT_EXECUTABLE, _NO_INTERPRETER):
            raise _cannot_run(shell, error.details) from None
        raise
    if not _DONE.search(said) or _FAILED.search(said):  # it exits with 0, whatever happens
        raise KnitterError("GRUB could not install itself", details=said, hint=f"the log has it all: {image.log}")


def menu_text(layout: Layout, kernels: list[Kernel], *, title: str, arguments: str) -> str:
    """The menu: the first of *kernels* is started at once, the others can be chosen."""
    serial = serial_command(arguments)
    directory = "" if layout.holding("/boot").mount == "/boot" else "/boot"
    lines = [
        "# Written by knitter; grubby keeps it up to date as kernels come and go.",
        "default=0",
        "timeout=0",
        "hiddenmenu",
        *([serial, f"terminal --timeout=0 {terminals(serial)}"] if serial else []),
    ]
    for kernel in kernels:
        lines += [
            f"title {title} ({kernel.version})",
            f"\troot {_device(layout)}",
            f"\tkernel {directory}/{kernel.image} ro root={layout.root.root_argument} {arguments}".rstrip(),
            f"\tinitrd {directory}/{kernel.initrd}",
        ]
    return "\n".join(lines) + "\n"


def _device(layout: Layout) -> str:
    """Where /boot lies, as GRUB counts."""
    return f"(hd0,{layout.holding('/boot').number - 1})"


def _cannot_run(shell: str, details: str) -> KnitterError:
    return KnitterError(
        f"this host cannot run the image's {shell}",
        details=details,
        hint="it is a 32-bit program: the kernel needs IA32 emulation (boot it with ia32_emulation=on), and the image "
        "the 32-bit C library if the program is linked to it (glibc.i686)",
    )

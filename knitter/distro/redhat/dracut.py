"""The initial RAM disk of the RPM family: made by dracut for any machine, not for the builder.  Pure.

Option names are those that dracut 004 (EL6) has too; a driver that a kernel lacks is left out.
"""

from typing import Final

from knitter.command import Command, command, script

DRIVERS: Final = (
    "nvme", "virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net", "xen-blkfront", "xen-netfront", "ena", "ixgbevf",
    "ata_piix",
)  # fmt: skip
"""What disks and networks of EC2 and QEMU are driven by; the xen ones carry both spellings of their names."""

PATH: Final = "/etc/dracut.conf.d/50-knitter.conf"
CONFIG: Final = f"""# Written by knitter: an image starts on other machines than the one it was built on.
hostonly=""
hostonly_cmdline="no"
add_drivers+=" {" ".join(DRIVERS)} "
dracut_rescue_image="no"
reproducible="yes"
"""

_MAKE: Final = """
for modules in /lib/modules/*; do
    version=${modules##*/}
    kernel=/boot/vmlinuz-$version
    if [ ! -e "$kernel" ] && [ -e "$modules/vmlinuz" ]; then cp -a "$modules/vmlinuz" "$kernel"; fi
    if [ ! -e "$kernel" ]; then continue; fi
    if ! command -v dracut > /dev/null; then
        echo "the kernel $version needs the package dracut, which makes its initial RAM disk" >&2
        exit 1
    fi
    depmod "$version"
    image=/boot/initramfs-$version.img
    { dracut --force "$image" "$version" 2>&1 || rm -f "$image"; } | tee /run/dracut >&2
    if [ ! -s "$image" ]; then
        echo "dracut made no $image" >&2
        exit 1
    fi
    if command -v lvm > /dev/null && ! grep -q 'module: lvm ' /run/dracut &&
        ! lsinitrd "$image" | grep -q 'bin/lvm$'; then
        echo "dracut left lvm out of $image although lvm2 is installed" >&2
        exit 1
    fi
done
"""
"""What dracut says is asked first: listing an image takes it a tenth of the time that making it did."""

_FINGERPRINT: Final = """
cd /
set -- etc/dracut.conf.d
for path in etc/dracut.conf etc/modprobe.d etc/modules-load.d etc/sysconfig/modules etc/sysconfig/keyboard etc/udev \\
    etc/fstab etc/crypttab etc/lvm etc/mdadm.conf etc/vconsole.conf usr/lib/dracut usr/share/dracut usr/lib/udev \\
    lib/udev usr/lib/modprobe.d; do
    if [ -e "$path" ]; then set -- "$@" "$path"; fi
done
{
    find "$@" ! -type d ! -name '*-persistent-net*.rules' -printf '%p %y %m %l\\n' | sort
    find "$@" -type f ! -name '*-persistent-net*.rules' -print0 | sort -z | xargs -0 cat
    find lib/modules/ lib/firmware/ -printf '%p %y %s %T@ %l\\n' 2> /dev/null | sort
} | sha256sum
"""
"""Without the locale: dracut takes it in, but what it says before the root is there need not be translated.  Without
the rules that name network interfaces: dracut takes rules by their names, these ones only into an image for one machine
(modules.d/95udev-rules, of 004 and of 059)."""


def make() -> Command:
    """Run in the root: the initial RAM disk of each kernel, anew.

    Without the device nodes that only a real root may make, and the kernel's devtmpfs brings.
    """
    return command("sh", "-euc", _MAKE, env={"DRACUT_NO_MKNOD": "1"})


def fingerprint() -> Command:
    """Prints a hash of all that an initial RAM disk is made from."""
    return script(_FINGERPRINT)

"""The EL9 shape: names and habits of AlmaLinux 9, for recipes/almalinux-9."""

from typing import Final

from tests.synthetic.shape import Repository, Shape

_ROOT: Final = "almalinux/9"
_DEBIAN: Final = (
    "chrony", "cloud-guest-utils", "cloud-init", "cpio", "curl", "dbus", "dnf", "dracut-core", "e2fsprogs",
    "efibootmgr", "fdisk", "gdisk", "iproute2", "iputils-ping", "kmod", "less", "linux-image-6.12-cloud-amd64",
    "linux-image-cloud-amd64", "locales", "lvm2", "network-manager", "openssh-client", "openssh-server", "passwd",
    "procps", "rpm", "rsyslog", "shim-signed", "sudo", "systemd-sysv", "tzdata", "udev", "util-linux", "xfsprogs",
    "xz-utils", "zstd",
)  # fmt: skip

EL9: Final = Shape(
    name="el9",
    dist="el9",
    debian=_DEBIAN,
    names={
        "cloud-guest-utils": "cloud-utils-growpart",
        "grub-common": "",
        "grub-efi-amd64-bin": "",
        "grub2-common": "",
        "libpam-systemd": "systemd-pam",
        "libsystemd-shared": "systemd",
        "lsb-release": "",
        "network-manager": "NetworkManager",
        "polkitd": "polkit",
        "shim-helpers-amd64-signed": "shim-x64",
        "shim-signed": "shim-x64",
        "shim-signed-common": "",
        "shim-unsigned": "",
        "systemd-sysv": "systemd",
        "udev": "systemd-udev",
    },
    owners=(
        (r"/usr/share/secureboot/|/usr/lib/shim/.*(\.nx|BOOT.*)$", ""),
        (r"/usr/lib/systemd/system/(ssh|chrony|rescue-ssh|cloud-(init|config|final))[^/]*\.(service|socket)$", ""),
        (r"/usr/lib/kernel/install\.d/(85-initrd|90-loaderentry)", ""),
        (r"/etc/(chrony|cloud/cloud\.cfg\.d|NetworkManager/NetworkManager\.conf)", ""),
    ),
    moves=(
        (r"/boot/(vmlinuz|System\.map|config)-(.+)", r"/usr/lib/modules/\2/\1"),
        (r"/usr/lib/shim/shimx64\.efi\.signed$", "/boot/efi/EFI/BOOT/BOOTX64.EFI"),
        (r"/usr/lib/shim/fbx64\.efi\.signed$", "/boot/efi/EFI/BOOT/fbx64.efi"),
        (r"/usr/lib/shim/mmx64\.efi\.signed$", "/boot/efi/EFI/almalinux/mmx64.efi"),
    ),
    repositories={
        "BaseOS": Repository(f"{_ROOT}/BaseOS/x86_64/os", comps="comps.xml", signed=True),
        "AppStream": Repository(f"{_ROOT}/AppStream/x86_64/os", signed=True),
        "newer": Repository(f"{_ROOT}/newer/x86_64/os", signed=True),
    },
    key="almalinux/RPM-GPG-KEY-AlmaLinux-9",
    release_package="almalinux-release",
    copies={"/boot/efi/EFI/BOOT/BOOTX64.EFI": "/boot/efi/EFI/almalinux/shimx64.efi"},
    kernel="kernel-core",
    placed={"AppStream": ("cloud-init", "cloud-utils-growpart", "python3-j*", "python3-y*")},
    newer={"newer": ("kernel", "kernel-core", "kernel-modules")},
    stubs=("basesystem", "glibc-minimal-langpack", "grub2-pc", "kernel", "kernel-modules"),
    versions={"kernel": "kernel-core", "kernel-modules": "kernel-core"},
    grub2=True,
)

"""The EL6 shape: names and habits of CentOS 6.9, for recipes/centos-6.9."""

from typing import Final

from tests.synthetic.shape import Repository, Shape

_DEBIAN: Final = (
    "cpio", "cron", "curl", "dbus", "dnf", "dracut-core", "e2fsprogs", "fdisk", "grub-legacy", "iproute2", "iptables",
    "iputils-ping", "isc-dhcp-client", "kmod", "less", "libc6-i386", "linux-image-cloud-amd64", "locales", "lvm2",
    "openssh-client", "openssh-server", "passwd", "procps", "rpm", "rsyslog", "sudo", "systemd-sysv", "tzdata",
    "udev", "util-linux", "xz-utils", "zstd",
)  # fmt: skip

EL6: Final = Shape(
    name="el6",
    dist="el6",
    debian=_DEBIAN,
    names={
        "bsdutils": "util-linux-ng",
        "dnf": "yum",
        "dnf-data": "yum",
        "fdisk": "util-linux-ng",
        "grub-common": "",
        "grub-legacy": "grub",
        "linux-image-cloud-amd64": "",
        "login": "util-linux-ng",
        "mount": "util-linux-ng",
        "python3-dnf": "yum",
        "systemd": "upstart",
        "systemd-sysv": "upstart",
        "util-linux": "util-linux-ng",
        "util-linux-extra": "util-linux-ng",
    },
    owners=(
        (r"/usr/lib/udev/rules\.d/80-net-setup-link\.rules$", ""),  # its interfaces keep the kernel's names
        (r"/usr/lib/systemd/system/([^/]*/)?systemd-machine-id-commit\.service$", ""),  # it has no machine-id to keep
        (r"/etc/kernel/", ""),
        (r"/usr/sbin/(update-grub|grub-(install|floppy|reboot|set-default)|init)$", ""),
        (
            r"/usr/lib/systemd/system/(ssh|cron|rsyslog|rescue-ssh|getty-static|getty\.target\.wants/getty-static)[^/]*$",
            "",
        ),
    ),
    moves=((r"/usr/lib/grub/x86_64-pc/", "/usr/share/grub/x86_64-redhat/"),),
    repositories={
        "os": Repository("6.9/os/x86_64", comps="comps.xml"),
        "updates": Repository("6.9/updates/x86_64"),
        "extras": Repository("6.9/extras/x86_64"),
    },
    key="6.9/os/x86_64/RPM-GPG-KEY-CentOS-6",
    release_package="centos-release",
    bare=(*(f"etc/rc.d/rc{level}.d" for level in range(7)), "var/lib/dhclient"),
    newer={"updates": ("tzdata",)},
    stubs=("basesystem", "dracut-kernel", "kernel-firmware", "yum-autoupdate"),
    locales=("en_US", "ja_JP"),
)

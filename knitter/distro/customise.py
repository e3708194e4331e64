"""Customise a bootstrapped Debian root: texts, accounts, services.  Pure: Commands to run in the root, in order."""

from collections.abc import Iterator, Sequence
from typing import Final

from knitter.command import Command, command, script
from knitter.distro.apt import Source
from knitter.recipe.model import File, System, User

_WRITE: Final = 'mkdir -p "$(dirname "$1")"; cat > "$1"; chmod "$2" "$1"'

_LOCALE: Final = """
case $1 in
    C | POSIX | C.UTF-8 | C.utf8) ;;
    *)
        if ! entry=$(grep -m1 "^$1 " /usr/share/i18n/SUPPORTED); then
            echo "system.locale = $1: not in /usr/share/i18n/SUPPORTED of the image (package locales)" >&2
            exit 1
        fi
        echo "$entry" >> /etc/locale.gen
        locale-gen >&2
        ;;
esac
printf 'LANG=%s\\n' "$1" > /etc/default/locale
"""

_TIMEZONE: Final = """
if [ ! -f "/usr/share/zoneinfo/$1" ]; then
    echo "system.timezone = $1: not in /usr/share/zoneinfo of the image (package tzdata)" >&2
    exit 1
fi
ln -snf "/usr/share/zoneinfo/$1" /etc/localtime
printf '%s\\n' "$1" > /etc/timezone
"""

_SUDO: Final = """
if [ ! -x /usr/bin/sudo ]; then
    echo "system.users: sudo = true for $1 needs the package sudo" >&2
    exit 1
fi
printf '%s ALL=(ALL:ALL) NOPASSWD: ALL\\n' "$1" > "/etc/sudoers.d/$1"
chmod 0440 "/etc/sudoers.d/$1"
"""

_MARK: Final = """
if command -v apt-mark > /dev/null; then
    apt-mark auto '?installed' > /dev/null
    apt-mark manual '?and(?installed,?or(?essential,?priority(required),?exact-name(apt)))' "$@" > /dev/null
fi
"""

_FINGERPRINT: Final = """
paths=
for path in etc/initramfs-tools etc/modprobe.d etc/modules etc/modules-load.d etc/udev etc/fstab etc/crypttab etc/lvm \\
    etc/mdadm etc/systemd/network etc/default/keyboard usr/share/initramfs-tools usr/lib/udev usr/lib/modprobe.d; do
    if [ -e "/$path" ]; then paths="$paths $path"; fi
done
{
    tar --create --sort=name --mtime=@0 --numeric-owner -C / $paths
    find /usr/lib/modules /usr/lib/firmware -printf '%p %y %s %T@ %l\\n' 2> /dev/null | sort
    cat /var/lib/dpkg/status
} | sha256sum
"""

_POLICY: Final = "/usr/sbin/policy-rc.d"

_INITRAMFS: Final = "if command -v update-initramfs > /dev/null; then update-initramfs -u -k all < /dev/null >&2; fi"


def write(path: str, text: str, *, mode: str = "0644") -> Command:
    """Write a file of the image."""
    return command("sh", "-euc", _WRITE, "sh", path, mode, stdin=text)


def write_bytes(path: str, content: bytes) -> Command:
    """Write a file of the image."""
    return command("sh", "-euc", _WRITE, "sh", path, "0644", stdin=content)


def plan_system(system: System) -> Iterator[Command]:
    """Host name, locale and time zone: before the overlay, which may say otherwise."""
    yield write("/etc/hostname", f"{system.hostname}\n")
    yield write("/etc/hosts", hosts(system.hostname))
    yield script(_LOCALE, system.locale)
    yield script(_TIMEZONE, system.timezone)


def plan_accounts(system: System) -> Iterator[Command]:
    """Users, then owners and modes: after the overlay, which may bring groups, skeletons and the files themselves."""
    for user in system.users:
        yield add_user(user)
        if user.sudo:
            yield script(_SUDO, user.name)
    for file in system.files:
        yield from own(file)


def plan_services(system: System) -> Iterator[Command]:
    """What starts at boot."""
    for verb, state in (("enable", "enabled"), ("disable", "disabled"), ("mask", "masked")):
        if units := [unit for unit, wanted in system.services.items() if wanted == state]:
            yield command("systemctl", verb, *units)


def add_user(user: User) -> Command:
    """Make the account, its password locked."""
    uid = ("--uid", user.uid) if user.uid is not None else ()
    groups = ("--groups", ",".join(user.groups)) if user.groups else ()
    kind = ("--system",) if user.system else ("--create-home",)
    home = user.home or f"/home/{user.name}"
    return command(
        "useradd", "--user-group", *kind, *uid, *groups, "--home-dir", home, "--shell", user.shell, user.name
    )


def own(file: File) -> Iterator[Command]:
    """Give *file* its owner and mode; names are those of the image."""
    yield command("chown", "--no-dereference", f"{file.owner}:{file.group}", file.path)
    if file.mode:
        yield command("chmod", file.mode, file.path)


def hosts(hostname: str) -> str:
    """/etc/hosts as Debian's installer writes it."""
    own_name = "" if hostname == "localhost" else f"127.0.1.1\t{hostname}{_short(hostname)}\n"
    return (
        f"127.0.0.1\tlocalhost\n{own_name}"
        "::1\t\tlocalhost ip6-localhost ip6-loopback\nff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n"
    )


def sources_list(sources: Sequence[Source], keyring: str) -> str:
    """/etc/apt/sources.list of the image.  keyring: the path of the archive's public keys in the image."""
    return "".join(
        source.line(source.url).replace("deb ", f"deb [signed-by={keyring}] ", 1) + "\n" for source in sources
    )


def mark_packages(install: Sequence[str]) -> Command:
    """Tell apt which packages were asked for and which came as dependencies, so that autoremove is right."""
    return script(_MARK, *install)


def fingerprint() -> Command:
    """Prints a hash of all that an initramfs is made from."""
    return script(_FINGERPRINT)


def update_initramfs() -> Command:
    """Make each initramfs anew."""
    return script(_INITRAMFS)


def run_script() -> Command:
    """Run the recipe's script that lies there as /run/script; all it says is logged, and shown if it fails."""
    return command("sh", "-c", "exec /run/script >&2")


def forbid_daemons() -> Command:
    """Let maintainer scripts start no daemons: invoke-rc.d (Debian's init-system-helpers) asks this program."""
    return write(_POLICY, "#!/bin/sh\nexit 101\n", mode="0755")


def allow_daemons() -> Command:
    """Undo `forbid_daemons`."""
    return command("rm", "-f", _POLICY)


def _short(hostname: str) -> str:
    first, dot, _ = hostname.partition(".")
    return f" {first}" if dot else ""

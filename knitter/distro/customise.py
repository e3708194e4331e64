"""Customise a bootstrapped root, whatever its family: accounts, services.  Pure: Commands to run in the root."""

from collections.abc import Iterable, Iterator
from typing import Final

from knitter.command import Command, command, script
from knitter.recipe.model import File, System, User

_WRITE: Final = 'mkdir -p "$(dirname "$1")"; cat > "$1"; chmod "$2" "$1"'

_TIMEZONE: Final = """
if [ ! -f "/usr/share/zoneinfo/$1" ]; then
    echo "system.timezone = $1: not in /usr/share/zoneinfo of the image (package tzdata)" >&2
    exit 1
fi
ln -snf "/usr/share/zoneinfo/$1" /etc/localtime
"""

_SUDO: Final = """
if [ ! -x /usr/bin/sudo ]; then
    echo "system.users: sudo = true for $1 needs the package sudo" >&2
    exit 1
fi
printf '%s ALL=(ALL:ALL) NOPASSWD: ALL\\n' "$1" > "/etc/sudoers.d/$1"
chmod 0440 "/etc/sudoers.d/$1"
"""


def write(path: str, text: str, *, mode: str = "0644") -> Command:
    """Write a file of the image."""
    return command("sh", "-euc", _WRITE, "sh", path, mode, stdin=text)


def write_bytes(path: str, content: bytes) -> Command:
    """Write a file of the image."""
    return command("sh", "-euc", _WRITE, "sh", path, "0644", stdin=content)


def timezone(name: str) -> Command:
    """Make *name* the time zone, as far as the C library asks."""
    return script(_TIMEZONE, name)


def plan_accounts(system: System) -> Iterator[Command]:
    """Users, then owners and modes: after the overlay, which may bring groups, skeletons and the files themselves."""
    for user in system.users:
        yield add_user(user)
        if user.sudo:
            yield script(_SUDO, user.name)
    for file in system.files:
        yield from own(file)


def plan_units(system: System, units: Iterable[str]) -> Iterator[Command]:
    """What of *units*, keys of system.services that systemd knows, starts at boot."""
    names = tuple(units)
    for verb, state in (("enable", "enabled"), ("disable", "disabled"), ("mask", "masked")):
        if chosen := [unit for unit in names if system.services[unit] == state]:
            yield command("systemctl", verb, *chosen)


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


def own_name(hostname: str) -> str:
    """The line of /etc/hosts that names this host; "" if it is localhost."""
    first, dot, _ = hostname.partition(".")
    return "" if hostname == "localhost" else f"127.0.1.1\t{hostname}{f' {first}' if dot else ''}\n"


def run_script() -> Command:
    """Run the recipe's script that lies there as /run/script; all it says is logged, and shown if it fails."""
    return command("sh", "-c", "exec /run/script >&2")

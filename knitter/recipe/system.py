"""The system section: how the root file system is customised."""

import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field

from knitter.recipe.base import OWN_PATH, AccountName, Form, ImagePath, OwnPath, Problem, Section, twice

SYSTEM_UIDS: Final = range(100, 1000)
"""Debian Policy 9.2.2: system accounts."""
USER_UIDS: Final = range(1000, 60000)
"""Debian Policy 9.2.2: people's accounts."""

_Owner = Annotated[str, Form(r"[a-z_][a-z0-9_-]{0,31}|[0-9]{1,10}", "a name such as root, or a number")]

_Label: Final = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"

_UNIT: Final = re.compile(r"[A-Za-z0-9:_.\\@-]{1,240}\.(service|socket|timer|target|path|mount|automount|swap|slice)")

_NO_UNIT: Final = "the key must be a systemd unit with its suffix, such as ssh.service"
_SCRIPT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,240}")

Selinux = Literal["disabled", "permissive", "enforcing"]


def is_unit(service: str) -> bool:
    """Whether *service*, a key of `services`, is a systemd unit, not an init script."""
    return _UNIT.fullmatch(service) is not None


class File(Section):
    """Owner and mode of one path of the overlay tree `files/`."""

    path: ImagePath
    """Absolute path in the image."""
    owner: _Owner = "root"
    """Name or number."""
    group: _Owner = "root"
    """Name or number."""
    mode: Annotated[str, Form(r"([0-7]{3,4})?", 'octal digits in quotes, such as "0750"')] = ""
    """Octal, such as `0750`.  Empty: 0755 if the file in `files/` is executable or a directory, else 0644."""


class User(Section):
    """A user account.  Never a password: log in with the key that EC2 delivers."""

    name: AccountName
    """Login name."""
    uid: int | None = None
    """1000 to 59999, or 100 to 999 for a system account.  Left out: the next free one."""
    groups: tuple[AccountName, ...] = ()
    """Supplementary groups; they must exist."""
    shell: ImagePath = "/bin/bash"
    """Login shell."""
    home: Annotated[str, Form(rf"(/{OWN_PATH})?", "an absolute path in the image, or nothing")] = ""
    """Empty: `/home/NAME`."""
    sudo: bool = False
    """May run anything as root without a password."""
    system: bool = False
    """A system account: low uid, no home made."""

    def _problems(self) -> Iterator[Problem]:
        allowed = SYSTEM_UIDS if self.system else USER_UIDS
        if self.name == "root":
            yield Problem(("name",), "root is there already; its password stays locked")
        if self.uid is not None and self.uid not in allowed:
            kind = "a system account" if self.system else "a user"
            yield Problem(("uid",), f"must be from {allowed.start} to {allowed.stop - 1} for {kind}")


class System(Section):
    """How the root file system is customised.  Read by `rootfs`."""

    hostname: Annotated[
        str,
        Form(
            rf"(?=.{{1,64}}$){_Label}(\.{_Label})*",
            "a host name: parts of at most 63 letters, digits and -, joined by dots, at most 64 characters in all",
        ),
    ] = "localhost"
    """Until EC2's metadata gives another."""
    locale: Annotated[
        str,
        Form(r"(C|POSIX|[a-z]{2,3}_[A-Z]{2})(\.[A-Za-z0-9-]+)?(@[a-z]+)?", "a locale such as C.UTF-8 or de_DE.UTF-8"),
    ] = "C.UTF-8"
    """LANG of the system."""
    timezone: Annotated[
        str, Form(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}", "a time zone such as Etc/UTC or Europe/Berlin")
    ] = "Etc/UTC"
    """A name of the time zone database."""
    users: tuple[User, ...] = ()
    """Accounts made."""
    services: Annotated[
        dict[str, Literal["enabled", "disabled", "masked"]],
        Field(json_schema_extra={"propertyNames": {"pattern": f"^({_UNIT.pattern}|{_SCRIPT.pattern})$"}}),
    ] = {}
    """What starts at boot, as `"ssh.service" = "enabled"`; masked ones cannot be started at all.  A key without a
    suffix is an init script (`redhat`, before EL7): `chkconfig` enables or disables it."""
    selinux: Selinux | None = None
    """`SELINUX` in `/etc/selinux/config` (`redhat`).  Left out: as the packages have it.  Unless it is `disabled`, the
    first boot labels all files and boots again."""
    files: tuple[File, ...] = ()
    """Owners and modes of overlay files that are not root's or not the default mode."""
    scripts: tuple[OwnPath, ...] = ()
    """Scripts in the recipe's folder, run as root in the image in this order, after everything else.  No network."""

    def _problems(self) -> Iterator[Problem]:
        yield from twice(("users",), tuple(user.name for user in self.users), "name")
        yield from twice(("users",), tuple("" if user.uid is None else str(user.uid) for user in self.users), "uid")
        yield from twice(("files",), tuple(file.path for file in self.files), "path")
        yield from twice(("scripts",), self.scripts)
        for service, state in self.services.items():
            if not (is_unit(service) or _SCRIPT.fullmatch(service)):
                yield Problem(("services", service), _NO_UNIT)
            elif not is_unit(service) and state == "masked":
                yield Problem(("services", service), "an init script can only be enabled or disabled")

    def only_redhat(self) -> Iterator[Problem]:
        """What means nothing to other families, at its path in this section."""
        yield from (Problem(("services", one), _NO_UNIT) for one in self.services if not is_unit(one))
        if self.selinux:
            yield Problem(("selinux",), 'needs packages.family = "redhat"')

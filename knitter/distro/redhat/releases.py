"""What differs between releases of the RPM family, and shows in no file of the tree while it is made."""

from typing import Final

_SYSV: Final = ("5", "6")
"""Major releases without systemd: their files in /etc/sysconfig, their services scripts in /etc/rc.d/init.d."""


def has_systemd(release: str) -> bool:
    """Whether *release*, such as `6.9` or `9`, starts by systemd."""
    return release.split(".", maxsplit=1)[0] not in _SYSV

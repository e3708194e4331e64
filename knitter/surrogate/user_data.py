"""What a surrogate is told at its first boot: who it is, who may log in, and when to end itself.  Pure.

No key pair is made in EC2: the keys live in this process and in the instance's user data, and end with both.
"""

import json
from typing import Final

from knitter.command import Command, script
from knitter.machine.keys import Key

_UNIT: Final = "knitter-deadline"
_ARM: Final = """
systemd-run --quiet --no-block --unit="$1" --on-active="$2" \\
    --timer-property=AccuracySec=1s --timer-property=DefaultDependencies=no --property=DefaultDependencies=no \\
    systemctl poweroff
"""
"""Without DefaultDependencies=no and --no-block it waits for sysinit.target, which waits for cloud-init."""
_ARM_ANEW: Final = (
    _ARM
    + """
systemctl list-units --plain --no-legend 'knitter-deadline*.timer' | while read -r unit _; do
    test "$unit" = "$1.timer" || systemctl stop "$unit"
done
"""
)


def plan_user_data(host: Key, client: Key, *, seconds: int) -> str:
    """cloud-config: the host key, the key that logs in, and a power-off after *seconds*.  JSON is YAML.

    The instance is launched so that a power-off terminates it: whatever becomes of knitter, it ends.
    """
    config = {
        "ssh_keys": {"ed25519_private": host.private, "ed25519_public": host.public},
        "ssh_authorized_keys": [client.public],
        # Early, and by systemd alone: shutdown(8) needs logind, which may not be there yet, or never come.
        "bootcmd": [["sh", "-eu", "-c", _ARM, "sh", f"{_UNIT}-0", str(seconds)]],
    }
    return f"#cloud-config\n{json.dumps(config)}\n"


def push_back(number: int, *, seconds: int) -> Command:
    """The *number*-th time that the power-off is put off, to *seconds* from now.

    The new timer runs before an older one is stopped: there is none without any.
    """
    return script(_ARM_ANEW, f"{_UNIT}-{number}", seconds)

"""Which device of an instance is a volume: told by its id, never by a number, for those come in order of discovery.

NVMe (Nitro)   the volume's id without its dash is the serial number, in /sys and in a name of /dev/disk/by-id
Xen            the name that was asked for at attachment: /dev/sdf is /dev/xvdf, or with old drivers /dev/sdf
"""

from pathlib import Path
from typing import Final

from knitter.command import Command, script
from knitter.errors import CommandError, KnitterError
from knitter.machine import Machine

PATIENCE: Final = 60
"""Seconds for a volume to show up after it was attached."""

_FIND: Final = r"""
serial=$1 xen=$2 seconds=$3 sys=$4 dev=$5
find_serial() {
    for file in "$sys"/block/*/device/serial; do
        [ -r "$file" ] && read -r found < "$file" || continue
        name=${file%/device/serial}
        [ "$found" = "$serial" ] && [ -e "$dev/${name##*/}" ] && echo "$dev/${name##*/}" && return
    done
    return 1
}
find_name() {
    for name in "disk/by-id/nvme-Amazon_Elastic_Block_Store_$serial" "xvd$xen" "sd$xen"; do
        [ -e "$dev/$name" ] && readlink -f "$dev/$name" && return
    done
    return 1
}
while ! find_serial && ! find_name; do
    if [ "$seconds" -le 0 ]; then
        echo "block devices: $(ls "$sys/block" | tr '\n' ' ')" >&2
        exit 1
    fi
    seconds=$((seconds - 1))
    sleep 1
done
"""


def plan_find(
    volume: str, requested: str, *, patience: int = PATIENCE, sysfs: Path = Path("/sys"), dev: Path = Path("/dev")
) -> Command:
    """Print the device of *volume* (`vol-...`), which was attached as *requested* (`/dev/sdf`)."""
    letters = requested.removeprefix("/dev/").removeprefix("xvd").removeprefix("sd")
    return script(_FIND, volume.replace("-", ""), letters, patience, sysfs, dev)


def find_device(
    machine: Machine, volume: str, requested: str, *, patience: int = PATIENCE, log: Path | None = None
) -> str:
    """The path of *volume*'s device on *machine*, as soon as it is there.  Raises KnitterError if it does not come."""
    try:
        return machine.run(plan_find(volume, requested, patience=patience), log=log).text
    except CommandError as error:
        raise KnitterError(
            f"{volume} does not show up on {machine.name} within {patience} s",
            details=error.details,
            hint="look at the volume's attachment; an image without NVMe or Xen drivers sees no volume",
        ) from error

"""What a booted guest must show.  Pure: each check is shell text, as a recipe's own probes are."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from knitter.recipe.boot import Bus, Probe
from knitter.recipe.model import Recipe
from knitter.vm.metadata import ADDRESS, GUEST_ADDRESS, Imds
from knitter.vm.qemu import SERIAL, Firmware

Disk = Bus | Literal["xen"]

CLOCK: Final = 60
"""Seconds the guest's clock may be off; some pass while the question travels to a slow guest."""

_RUNNING: Final = """
if test -d /run/systemd/system; then
    state=$(systemctl is-system-running --wait) || true
    failed=$(systemctl list-units --failed --plain --no-legend)
    echo "$state" "$failed"
    test "$state" = running
    test -z "$failed"
    exit
fi
while initctl status rc 2>/dev/null | grep -q running || pgrep -f '/(rc|init)\\.d/rc [0-9]' >/dev/null; do
    sleep 1
done
state=$(runlevel)
echo "runlevel, before and now: $state"
case $state in *" "[2345]) ;; *) exit 1 ;; esac
"""
"""Without systemd, as in EL 6: the scripts of a runlevel for use have all been run; upstart knows no more."""
_CLOUD_INIT: Final = """
command -v cloud-init >/dev/null || { echo "status: there is none"; exit 0; }
cloud-init status --wait --long
test "$(cat /run/cloud-init/cloud-id)" = aws || { echo "it runs on: $(cat /run/cloud-init/cloud-id)"; exit 1; }
"""
_ROOT_DISK: Final = """
number=$(stat -c %d /)
part=$(readlink -f "/sys/dev/block/$((number >> 8 & 0xfff)):$((number & 0xff | number >> 12 & 0xfff00))")
while set -- "$part"/slaves/* && test -e "$1"; do
    part=$(readlink -f "$1")
done
disk=$part
if test -e "$part/partition"; then disk=${part%/*}; fi
part=${part##*/}
disk=${disk##*/}
"""
"""By the kernel alone: EL 6 lacks findmnt, and its lsblk these columns.  Below a logical volume: the first disk's."""
_SERIAL: Final = """
serial=$(cat "/sys/block/$disk/device/serial" 2>/dev/null || cat "/sys/block/$disk/serial" 2>/dev/null || echo none)
echo "$disk: $serial, Linux $(uname -r)"
"""
_DISKS: Final[dict[Disk, tuple[str, str]]] = {
    # (its name for people, what is to be said of it)
    "nvme": ("NVMe", r"nvme\d+n\d+: (SERIAL|none, Linux [23]\.)"),  # kernels before 4.5 do not tell it
    "virtio": ("virtio", r"vd[a-z]+: SERIAL"),
    "xen": ("Xen", r"xvd[a-z]+: none"),  # it has none
}
_GROWN: Final = """
disk_size=$(cat "/sys/block/$disk/size")
part_end=$(($(cat "/sys/class/block/$part/start") + $(cat "/sys/class/block/$part/size")))
filesystem=$(($(stat -fc '%b * %S' /) / 512))
echo "in sectors: disk $disk_size, root partition ends at $part_end, file system $filesystem"
test $((disk_size - part_end)) -lt 8192
test $((filesystem * 10)) -gt $(($(cat "/sys/class/block/$part/size") * 9))
"""
_NETWORK: Final = """
ip -4 -o address show
ip -4 -o address show | grep -qwF ADDRESS
ip -4 route show default | grep .
grep '^nameserver' /etc/resolv.conf
"""
_METADATA: Final = """
bash -eu <<'EOF'
ask() {
    exec 3<>/dev/tcp/ADDRESS/80
    printf '%s HTTP/1.1\\r\\nHost: ADDRESS\\r\\nConnection: close\\r\\n%s\\r\\n' "$1" "${2:+$2$'\\r\\n'}" >&3
    tr -d '\\r' <&3
}
token=$(ask 'PUT /latest/api/token' 'X-aws-ec2-metadata-token-ttl-seconds: 60' | tail -n 1)
echo "instance $(ask 'GET /latest/meta-data/instance-id' "X-aws-ec2-metadata-token: $token" | tail -n 1)"
echo "without token: $(ask 'GET /latest/meta-data/instance-id' | head -n 1)"
EOF
"""
ABOUT: Final = """
uname -r
if test -e /etc/os-release; then
    . /etc/os-release
    echo "$PRETTY_NAME"
else
    head -n 1 /etc/system-release
fi
"""
"""Two lines for the receipt: kernel release, and name of the system."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the system finds itself: of a guest of our own, if nothing else is said."""

    serial: str = SERIAL
    """Of the root volume: its id without the dash."""
    address: str = GUEST_ADDRESS
    """IPv4, of its interface."""
    disks: tuple[Disk, ...] = ("nvme",)
    """What its root volume may be plugged in as."""


def plan_checks(recipe: Recipe, firmware: Firmware, *, now: float, place: Place = Place()) -> tuple[Probe, ...]:
    """All checks of a system that booted through *firmware*, the recipe's last.  now: seconds since 1970."""
    return (*_built_in(recipe, firmware, int(now), place), *recipe.check.probes)


def _built_in(recipe: Recipe, firmware: Firmware, now: int, place: Place) -> Iterator[Probe]:
    yield Probe(name="the clock is right", run=_clock(now))  # first, while *now* is
    yield Probe(name="the system is running, no unit failed", run=_RUNNING)
    yield Probe(name="cloud-init is done, on EC2", run=_CLOUD_INIT, expect=r"status: (done|there is none)")
    yield Probe(name=f"it booted through {firmware.upper()}", run=_firmware(firmware))
    yield _root_probe(place)
    if grows(recipe):
        yield Probe(name="the root has grown to the volume", run=_ROOT_DISK + _GROWN)
    yield Probe(name="the kernel has its arguments", run=_arguments(recipe.boot.arguments))
    yield Probe(name="the network is up", run=_NETWORK.replace("ADDRESS", place.address))
    yield Probe(
        name=f"instance metadata answers as {recipe.ami.imds}",
        run=_METADATA.replace("ADDRESS", ADDRESS),
        expect=_metadata(recipe.ami.imds),
    )


def _root_probe(place: Place) -> Probe:
    names, said = zip(*(_DISKS[disk] for disk in place.disks), strict=True)
    expect = f"^({'|'.join(said)})".replace("SERIAL", place.serial)
    return Probe(name=f"the root is on the {' or '.join(names)} volume", run=_ROOT_DISK + _SERIAL, expect=expect)


def grows(recipe: Recipe) -> bool:
    """Whether the root can take what a larger volume offers: only the last partition can."""
    return getattr(recipe.disk.partitions[-1], "mount", "") == "/"


def _firmware(firmware: Firmware) -> str:
    return f"test {'' if firmware == 'uefi' else '! '}-d /sys/firmware/efi"


def _arguments(arguments: str) -> str:
    words = " ".join(map(shlex.quote, arguments.split()))
    return f"""
line=" $(cat /proc/cmdline) "
for word in {words}; do
    case "$line" in *" $word "*) ;; *) echo "$word is not in:$line"; exit 1 ;; esac
done
"""


def _clock(now: int) -> str:
    return f"""
off=$(($(date +%s) - {now}))
echo "off by $off s"
test "${{off#-}}" -le {CLOCK}
"""


def _metadata(imds: Imds) -> str:
    status = "401" if imds == "v2.0" else "200"
    return rf"^instance i-\w+\nwithout token: HTTP/1.1 {status}"

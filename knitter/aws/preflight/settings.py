"""What is wrong with the settings, told without asking anybody.

Limits of volumes: Amazon EC2 API Reference, CreateVolume; EBS User Guide, "Amazon EBS volume types".
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from knitter.aws.network import check_sources
from knitter.aws.preflight.finding import Finding, problem, warning
from knitter.errors import KnitterError
from knitter.settings import Settings, Via

PLACES: Final = ("instance_id", "address", "region", "port")
"""That ssh_proxy_command may hold in braces."""

_IOPS: Final = {"gp3": range(3000, 80001), "io1": range(100, 64001), "io2": range(100, 256001)}
_THROUGHPUT: Final = range(125, 2001)
_SHARE: Final = 0.25
"""MiB/s of a gp3 volume for each of its IOPS, at most."""
_GP3_IOPS: Final = 3000
_FORMS: Final = (
    ("surrogate_subnets", r"subnet-[0-9a-f]{8,17}", "subnet-0123456789abcdef0"),
    ("surrogate_security_groups", r"sg-[0-9a-f]{8,17}", "sg-0123456789abcdef0"),
    ("surrogate_types", r"[a-z0-9-]+\.[a-z0-9-]+", "t3.small"),
)


def check_settings(settings: Settings, roads: Iterable[Via]) -> list[Finding]:
    """Warnings and problems; nothing if all is well."""
    asked = (*_ALWAYS, *(_SURROGATE if "surrogate" in roads else ()))
    return [finding for check in asked for finding in check(settings)]


def architecture_of(instance_type: str) -> str:
    """What the name of an instance type says: Graviton's have a `g` behind the generation (m7g, c6gn), and a1 is one.

    EC2 User Guide, "Instance type naming conventions".
    """
    family = instance_type.partition(".")[0]
    return "arm64" if family == "a1" or re.match(r"[a-z]+\d+[a-z]*g", family) else "x86_64"


def _key(settings: Settings) -> Iterator[Finding]:
    if settings.kms_key and not settings.encrypted:
        yield warning("kms_key", "is of no use: nothing is encrypted", "set encrypted = yes, or remove kms_key")


def _forms(settings: Settings) -> Iterator[Finding]:
    for name, form, example in _FORMS:
        for word in getattr(settings, name):
            if not re.fullmatch(form, word):
                yield problem(name, f"{word!r} is not of the form {example}", f"correct {name} in .doit.cfg")


def _types(settings: Settings) -> Iterator[Finding]:
    found = {architecture_of(name): name for name in reversed(settings.surrogate_types)}
    if len(found) > 1:
        yield problem(
            "surrogate_types",
            f"{found['x86_64']} is x86_64, {found['arm64']} is arm64; one image cannot boot both",
            "name types of one architecture",
        )


def _sources(settings: Settings) -> Iterator[Finding]:
    try:
        check_sources(settings.surrogate_sources, allow_world=settings.allow_world)
    except KnitterError as error:
        yield problem("surrogate_sources", error.brief.removeprefix("surrogate_sources: "), error.hint)
    if settings.surrogate_sources and settings.surrogate_security_groups:
        yield warning("surrogate_sources", "is of no use beside surrogate_security_groups", "remove one of the two")


def _volume(settings: Settings) -> Iterator[Finding]:
    kind, iops, throughput = settings.volume_type, settings.volume_iops, settings.volume_throughput
    allowed = _IOPS.get(kind)
    if allowed is None and iops:
        yield problem("volume_iops", f"a {kind} volume takes none", "set volume_iops = 0, or another volume_type")
    elif allowed is not None and (iops or kind != "gp3") and iops not in allowed:
        between = f"from {allowed.start} to {allowed.stop - 1}"
        yield problem("volume_iops", f"a {kind} volume has {between}; it says {iops}", "correct volume_iops")
    if throughput and kind != "gp3":
        yield problem("volume_throughput", f"a {kind} volume takes none", "set volume_throughput = 0")
    elif throughput and throughput not in _THROUGHPUT:
        yield problem("volume_throughput", f"a gp3 volume has from 125 to 2000 MiB/s; it says {throughput}")
    elif throughput > _SHARE * (iops or _GP3_IOPS):
        least = int(throughput / _SHARE)
        yield problem("volume_throughput", f"{throughput} MiB/s need {least} IOPS", f"set volume_iops = {least}")


def _proxy(settings: Settings) -> Iterator[Finding]:
    for name in re.findall(r"{(\w+)}", settings.ssh_proxy_command):
        if name not in PLACES:
            known = ", ".join(f"{{{place}}}" for place in PLACES)
            yield warning("ssh_proxy_command", f"nothing is filled in for {{{name}}}", f"there are {known}")


Check = Callable[[Settings], Iterator[Finding]]
_ALWAYS: Final[tuple[Check, ...]] = (_key,)
_SURROGATE: Final[tuple[Check, ...]] = (_forms, _types, _sources, _volume, _proxy)

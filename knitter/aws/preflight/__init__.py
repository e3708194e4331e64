"""Preflight: all that can be known of the account before hours of work go into a build.

    findings = examine(site.cloud, Plan(settings, roads={"surrogate"}, find_source=..., coming=[...]))
    require(findings)                    raises ONE KnitterError that tells all problems

A finding is ok, a note (such as what could not be asked), a warning or a problem.  What an endpoint does not know, or
does not let us ask, is a note, never a failure.
"""

from collections.abc import Callable, Iterator, Sequence

from knitter.aws.launching import USUAL_TYPES
from knitter.aws.network import subnet_of
from knitter.aws.preflight.account import check_blocks, check_encryption, check_identity, check_name, check_quotas
from knitter.aws.preflight.finding import Finding, asked, is_problem, ok, problem, require
from knitter.aws.preflight.machines import check_types
from knitter.aws.preflight.network import check_network
from knitter.aws.preflight.plan import Coming, Image, Place, Plan
from knitter.aws.preflight.rights import check_rights
from knitter.aws.preflight.settings import architecture_of, check_settings
from knitter.aws.session import Cloud
from knitter.aws.source import SourceImage

__all__ = [
    "Coming", "Finding", "Image", "Plan", "architecture_of", "check_settings", "examine", "require",
]  # fmt: skip


def examine(cloud: Callable[[], Cloud], plan: Plan) -> list[Finding]:
    """All findings, problems of the settings first; with such, the cloud is not even connected.

    Raises nothing but Interrupted: what is wrong is a finding.
    """
    found = check_settings(plan.settings, plan.roads)
    if any(map(is_problem, found)):
        return found
    connected: list[Cloud] = []

    def connect() -> Iterator[Finding]:
        connected.append(cloud())
        yield from check_identity(connected[0])

    found += asked("cloud", connect)
    return found if any(map(is_problem, found)) else found + _account(connected[0], plan)


def _account(cloud: Cloud, plan: Plan) -> list[Finding]:
    """The cloud knows us: all that the roads of *plan* need of it."""
    settings = plan.settings
    found = check_blocks(cloud) if "direct" in plan.roads else []
    place = Place()
    if "surrogate" in plan.roads:
        about, place = _surrogate(cloud, plan)
        found += about
    found += check_encryption(cloud, settings)
    gp3 = plan.disks if "surrogate" in plan.roads and settings.volume_type == "gp3" else 0
    found += check_quotas(cloud, direct="direct" in plan.roads, vcpus=place.vcpus * settings.surrogates, disks=gp3)
    found += [finding for one in plan.coming if one.image_name for finding in check_name(cloud, one)]
    return found + check_rights(cloud, settings, plan.roads, place)


def _surrogate(cloud: Cloud, plan: Plan) -> tuple[list[Finding], Place]:
    """What a surrogate needs, and where the first would start."""
    found, source = _source(cloud, plan)
    about_network, subnets = check_network(cloud, plan.settings)
    names = plan.settings.surrogate_types or USUAL_TYPES[source.architecture if source else "x86_64"]
    about_types, known = check_types(cloud, names, source, plan.coming)
    first = next(iter(known.values()), None)
    free = next((one for one in subnets if one["AvailableIpAddressCount"]), None)
    place = Place(
        source=source,
        type=first["InstanceType"] if first else "",
        vcpus=first["VCpuInfo"]["DefaultVCpus"] if first else 0,
        subnet=subnet_of(free) if free else None,
    )
    return [*found, *about_network, *about_types], place


def _source(cloud: Cloud, plan: Plan) -> tuple[list[Finding], SourceImage | None]:
    if plan.find_source is None:
        return [], None
    find = plan.find_source
    about = f"surrogate_image {plan.settings.surrogate_image or '(default)'}"
    found: list[SourceImage] = []

    def ask() -> Iterator[Finding]:
        found.append(find(cloud))
        yield _fits(about, found[0], plan.settings.surrogate_types)

    return asked(about, ask), next(iter(found), None)


def _fits(about: str, source: SourceImage, types: Sequence[str]) -> Finding:
    """By the names of the types alone; what they can do is asked later."""
    if types and source.architecture not in {architecture_of(name) for name in types}:
        said = f"{source.id} is {source.architecture}, but surrogate_types are {', '.join(types)}"
        return problem(about, said, "correct surrogate_image or surrogate_types")
    return ok(about, f"{source.id}, {source.name}, {source.architecture}")

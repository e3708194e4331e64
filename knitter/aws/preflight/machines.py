"""Instance types against the AMIs that they are to boot.

Sources: EC2 User Guide, "Instance type boot mode requirements"; API Reference, DescribeInstanceTypes.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from knitter.aws.preflight.finding import Finding, asked, note, ok, problem
from knitter.aws.preflight.plan import Image
from knitter.aws.session import Cloud

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeInfoTypeDef

_DEFAULT_MODE: Final = {"arm64": "uefi", "x86_64": "legacy-bios"}
"""Of an AMI that says nothing."""
_TYPES: Final = "correct surrogate_types in .doit.cfg"


def check_types(
    cloud: Cloud, names: Sequence[str], source: Image | None, coming: Sequence[Image]
) -> tuple[list[Finding], "dict[str, InstanceTypeInfoTypeDef]"]:
    """Whether the region has the types *names*, whether all boot *source*, and each of *coming* boots on some.

    Also gives what is known of the types.
    """
    known: dict[str, InstanceTypeInfoTypeDef] = {}

    def look() -> Iterator[Finding]:
        known.update(_known(cloud, names))
        yield from (_exists(cloud, name, known.get(name)) for name in names)
        for one in known.values():
            yield from _boots_source(one, source)
        yield from (finding for image in coming for finding in _boots_somewhere(image, list(known.values())))

    return asked("instance types", look), known


def refusal(kind: "InstanceTypeInfoTypeDef", image: Image) -> str:
    """Why an instance of *kind* does not boot *image*; "" if it does."""
    architectures = kind.get("ProcessorInfo", {}).get("SupportedArchitectures", [])
    if image.architecture not in architectures:
        return f"its processor is {' or '.join(architectures)}, the image {image.architecture}"
    mode = image.boot_mode or _DEFAULT_MODE.get(image.architecture, "")
    modes = kind.get("SupportedBootModes", [])
    if mode != "uefi-preferred" and mode not in modes:
        return f"it boots by {' or '.join(modes)}, the image by {mode}"
    if kind.get("NetworkInfo", {}).get("EnaSupport") == "required" and not image.ena:
        return "it needs an image with ENA, and the image says it has none"
    return ""


def _known(cloud: Cloud, names: Sequence[str]) -> "dict[str, InstanceTypeInfoTypeDef]":
    """By a filter: a name that is unknown is left out, where InstanceTypes would refuse all."""
    filters: Any = [{"Name": "instance-type", "Values": list(names)}]
    found = {one["InstanceType"]: one for one in cloud.ec2.describe_instance_types(Filters=filters)["InstanceTypes"]}
    return {name: found[name] for name in names if name in found}


def _exists(cloud: Cloud, name: str, kind: "InstanceTypeInfoTypeDef | None") -> Finding:
    if kind is None:
        return problem(f"instance type {name}", f"{cloud.region} has none", _TYPES)
    return ok(f"instance type {name}", f"{cloud.region} has it")


def _boots_source(kind: "InstanceTypeInfoTypeDef", source: Image | None) -> Iterator[Finding]:
    if source is not None and (why := refusal(kind, source)):
        yield problem(f"instance type {kind['InstanceType']}", f"cannot boot {source.name}: {why}", _TYPES)


def _boots_somewhere(image: Image, kinds: "Sequence[InstanceTypeInfoTypeDef]") -> Iterator[Finding]:
    """A problem if all types of the image's architecture refuse it; those of another were not meant for it."""
    meant = [
        one for one in kinds if image.architecture in one.get("ProcessorInfo", {}).get("SupportedArchitectures", [])
    ]
    refused = {one["InstanceType"]: refusal(one, image) for one in meant}
    if meant and all(refused.values()):
        kind, why = next(iter(refused.items()))
        if not image.ena:  # it was not meant for them: doit launch has types of its own for it
            yield note(f"AMI of {image.name}", f"does not boot on {kind}: {why}")
            return
        hint = "correct boot.firmware, ami.boot_mode or ami.ena in recipe.toml, or name other types"
        yield problem(f"AMI of {image.name}", f"does not boot on {kind}: {why}", hint)

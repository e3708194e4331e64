"""The last words of `doit build:debian-12`: what was made, where it is, what to do with it.  Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from knitter.report.look import PLAIN, Look
from knitter.report.run import Finished
from knitter.report.text import columns, human_duration
from knitter.units import human_size


@dataclass(frozen=True)
class Product:
    """An AMI as it is now, made by this run or an earlier one."""

    recipe: str
    image: str
    """Id of the AMI."""
    name: str
    """Name of the AMI."""
    cloud: Literal["lab", "aws"]
    region: str
    disk: Path
    """disk.raw."""
    disk_size: int
    """Bytes."""
    uploaded: int
    """Bytes in the snapshot: its blocks that are not zero."""
    stages: tuple[str, ...]
    """Names of the stages of this recipe, in order: `packages`, `rootfs`."""

    @property
    def place(self) -> str:
        """Where the AMI is, in words."""
        return "the lab" if self.cloud == "lab" else f"AWS {self.region}"


def farewell(
    product: Product, ran: Iterable[Finished] = (), *, seconds: float = 0.0, look: Look = PLAIN, doit: str = "doit"
) -> str:
    """What to say after a build in which *ran* were the stages that ran; *doit* is how the user calls it."""
    about = [
        ("AMI", product.image),
        ("name", product.name),
        ("cloud", f"lab, on this machine; it poses as {product.region}" if product.cloud == "lab" else product.place),
        ("disk", f"{human_size(product.disk_size)}, of which {human_size(product.uploaded)} uploaded"),
        ("file", str(product.disk)),
    ]
    return "\n\n".join(
        [
            look.paint(f"{product.recipe} is ready: {product.image}", "bold"),
            columns(about, look=look),
            f"{_times(product, ran, look)}\n  {human_duration(seconds)} in all",
            _next(product, doit, look),
        ]
    )


def up_to_date(product: Product, *, look: Look = PLAIN) -> str:
    """The whole of what a build that had nothing to do says."""
    return f"{look.paint(look.signs.done, 'green')} {product.recipe} is up to date: {product.image} in {product.place}"


def several(products: Sequence[Product], *, look: Look = PLAIN) -> str:
    """The AMIs of a build of several recipes, one line each."""
    return columns([(product.recipe, product.image, product.place) for product in products], look=look)


def _times(product: Product, ran: Iterable[Finished], look: Look) -> str:
    found = {stage.task: stage for stage in ran}
    rows = []
    for name in product.stages:
        stage = found.get(f"{name}:{product.recipe}")
        rows.append(
            (name, human_duration(stage.seconds), stage.result, stage.why) if stage else (name, "", "up to date", "")
        )
    return columns(rows, look=look, right=frozenset({1}))


def _next(product: Product, doit: str, look: Look) -> str:
    boot = f"{doit} boot:{product.recipe} --keep"
    where = f"--region {product.region}"
    in_lab = {
        # Older ones do not read AWS_ENDPOINT_URL, and Debian 12's own is older.
        "look at it (AWS CLI 2.13, 1.29 or later: pip install awscli)": [
            f'eval "$({doit} lab)"',
            f"aws ec2 describe-images --image-ids {product.image}",
        ],
        "start it": [boot, f"{doit} launch:{product.recipe}"],
        "make it in AWS instead (or set cloud = aws in .doit.cfg)": [
            f"KNITTER_CLOUD=aws {doit} build:{product.recipe}"
        ],
    }
    in_aws = {
        "look at it": [f"aws ec2 describe-images {where} --image-ids {product.image}"],
        "start it there": [
            f"{doit} launch:{product.recipe}",
            f"aws ec2 run-instances {where} --image-id {product.image}",
        ],
        "start it here": [boot],
    }
    steps = in_lab if product.cloud == "lab" else in_aws
    return "\n".join("\n    ".join([look.paint(f"{what}:", "bold"), *lines]) for what, lines in steps.items())

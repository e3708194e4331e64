"""What the tests of this room share: a place with root, and images in it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from knitter.disk.geometry import Layout, plan_layout
from knitter.disk.image import Image
from knitter.machine.namespace import Namespace
from knitter.machine.scratch import scratch
from knitter.recipe.disk import Disk
from knitter.units import GIB

EPOCH = 1_700_000_000
SEED = "a seed"


Part = dict[str, Any]


def layout_of(*partitions: Part, size: str = "1GiB", label: str = "gpt") -> Layout:
    """The layout of a recipe with these partitions."""
    return plan_layout(
        Disk.model_validate({"size": size, "label": label, "partitions": partitions}, strict=False), SEED
    )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Namespace, Path]]:
    """A private machine and an empty directory there."""
    with scratch("memory", tmp_path, need=GIB, log=tmp_path / "log") as found:
        yield found


def empty_image(machine: Namespace, path: Path, layout: Layout, *, log: Path) -> Image:
    """A disk without anything on it."""
    image = Image(machine, path, EPOCH, log)
    with image.outside.open("xb") as file:
        file.truncate(layout.size)
    return image


@pytest.fixture
def new_image(place: tuple[Namespace, Path], tmp_path: Path) -> Callable[..., Image]:
    """Makes an empty disk for a layout, with a name if it is not the only one."""
    machine, directory = place

    def make(layout: Layout, name: str = "disk.raw") -> Image:
        return empty_image(machine, directory / name, layout, log=tmp_path / "log")

    return make

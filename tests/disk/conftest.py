"""What the tests of this room share: a place with root, and images in it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from knitter.disk.geometry import Layout, plan_layout
from knitter.disk.image import Image
from knitter.machine.namespace import Namespace
from knitter.machine.scratch import scratch
from knitter.recipe.disk import Disk
from knitter.units import GIB

EPOCH = 1_700_000_000
SEED = "a seed"


def layout_of(*partitions: dict[str, str], size: str = "1GiB", label: str = "gpt") -> Layout:
    """The layout of a recipe with these partitions."""
    return plan_layout(
        Disk.model_validate({"size": size, "label": label, "partitions": partitions}, strict=False), SEED
    )


@pytest.fixture(params=["memory", "disk"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Namespace, Path]]:
    """A private machine and an empty directory there: on tmpfs, then on disk."""
    with scratch(request.param, tmp_path, need=GIB, log=tmp_path / "log") as found:
        yield found


@pytest.fixture
def new_image(place: tuple[Namespace, Path], tmp_path: Path) -> Callable[[Layout, str], Image]:
    """Makes an empty disk."""
    machine, directory = place

    def make(layout: Layout, name: str = "disk.raw") -> Image:
        image = Image(machine, directory / name, EPOCH, tmp_path / "log")
        with image.outside.open("xb") as file:
            file.truncate(layout.size)
        return image

    return make

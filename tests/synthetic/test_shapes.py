"""Of the shapes, what whoever uses them counts on.  That they install and boot, the tests of recipes show."""

import subprocess
from pathlib import Path

import pytest

from tests.synthetic import EL6, EL9, Shape, ensure
from tests.synthetic.served import Served

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("shape", [EL6, EL9], ids=lambda shape: shape.name)
def test_a_second_time_it_is_the_same(request: pytest.FixtureRequest, shape: Shape) -> None:
    distribution = request.getfixturevalue(shape.name).distribution
    assert ensure(shape) == distribution
    assert len(distribution.fingerprint) == 40
    shown = subprocess.run(["gpg", "--show-keys", "--with-colons", distribution.key], capture_output=True, check=True)
    assert distribution.fingerprint.encode() in shown.stdout


def test_the_newer_kernel_is_newer(el9: Served) -> None:
    def kernel(repository: str) -> str:
        folder = el9.distribution.www / EL9.repositories[repository].path / "Packages"
        return next(one.name.split("-")[2] for one in folder.glob("kernel-core-*"))

    assert kernel("BaseOS").startswith("6.1.")
    assert kernel("newer").startswith("6.12.")


def test_a_copy_can_be_tampered_with(el6: Served, tmp_path: Path) -> None:
    copy = el6.distribution.copy(tmp_path / "copy")
    assert {one.name for one in copy.folder.iterdir()} == {one.name for one in el6.distribution.folder.iterdir()}

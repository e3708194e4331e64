"""A host without what the recipe needs is told before anything is fetched, and the need decides no key."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from knitter.aws.session import Cloud
from knitter.errors import KnitterError
from knitter.machine import needs
from knitter.recipe.model import Recipe
from knitter.settings import Settings
from knitter.stages.build import Build
from knitter.stages.packages import Packages
from knitter.stages.rootfs import Rootfs
from knitter.stages.stage import ensure

NOWHERE = {"url": "http://127.0.0.1:9/debian", "suite": "tiny"}


def no_cloud() -> Cloud:
    raise AssertionError("this stage needs no cloud")


def build_of(directory: Path, *wanted: str) -> Build:
    packages = {"release": "tiny", "repositories": (NOWHERE,)}
    values: dict[str, Any] = {"name": "small", "directory": directory, "packages": packages, "needs": wanted}
    settings = Settings(build_directory=directory / "build", cache_directory=directory / "cache")
    return Build(Recipe.model_validate(values), settings, no_cloud)


def test_what_the_host_must_have_decides_no_key(tmp_path: Path) -> None:
    for stage in (Packages(), Rootfs()):
        assert stage.sections(build_of(tmp_path)) == stage.sections(build_of(tmp_path, "vsyscall"))


@pytest.mark.lab
def test_it_is_asked_before_anything_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deadly = replace(needs.KNOWN["vsyscall"], trial="import os\nos.kill(os.getpid(), 11)\n")
    monkeypatch.setitem(needs.KNOWN, "vsyscall", deadly)  # type: ignore[arg-type]  # it is a dictionary
    with pytest.raises(KnitterError, match="no vsyscall page"):
        ensure(Packages(), build_of(tmp_path, "vsyscall"))
    assert not (tmp_path / "cache").exists()

"""The recipe that README.md shows is one that works."""

import re
from pathlib import Path

import pytest

from knitter.recipe.load import load
from tests.desk import ROOT, Desk

SETUP = "#!/bin/sh\nset -eu\nid deploy > /etc/made-by-setup\n"


def example() -> str:
    return re.findall(r"^```toml\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)[0]


def desk_with(text: str, root: Path, cache: Path) -> Desk:
    desk = Desk(root, cache)
    desk.write_recipe("web", text, {"setup.sh": SETUP})
    return desk


def test_it_can_be_read_and_keeps_what_it_extends(tmp_path: Path) -> None:
    desk = desk_with(example(), tmp_path, tmp_path / "cache")
    web, debian = (load(desk.root / "recipes", name) for name in ("web", "debian-12"))
    assert set(debian.packages.install) < set(web.packages.install)
    assert debian.system.services.items() < web.system.services.items()


@pytest.mark.boot
def test_it_boots_and_passes_its_checks(tmp_path: Path, package_cache: Path) -> None:
    desk = desk_with(example().replace('firmware = "both"', 'firmware = "uefi"'), tmp_path, package_cache)
    desk.doit("boot:web")
    facts = desk.receipt("web", "boot").facts
    assert isinstance(facts["uefi"], dict)
    assert "nginx answers" in str(facts["uefi"]["checks"])

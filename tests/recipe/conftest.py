"""A folder of recipes to write into, in the current directory, so that errors name `recipes/...`."""

from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[[str, str], Path]


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").mkdir()
    return tmp_path / "recipes"


@pytest.fixture
def write(recipes: Path) -> Write:
    def write(name: str, text: str) -> Path:
        path = recipes / name / "recipe.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return write

from pathlib import Path

import pytest

from knitter.errors import KnitterError
from knitter.tasks import config

ROOT = Path(__file__).resolve().parent.parent.parent


def test_options_come_with_the_types_doit_wants(tmp_path: Path) -> None:
    path = tmp_path / ".doit.cfg"
    path.write_text("[GLOBAL]\nnum_process = 4\n[list]\nsubtasks = yes\n[knitter]\nx = 1\n")
    assert config.read(path) == {"num_process": 4, "subtasks": True}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[GLOBAL]\npar_typ = thread", "did you mean 'par_type'?"),
        ("[lst]\nsort = name", "did you mean 'list'?"),
        ("[list]\nsubtasks = maybe", "cannot be used"),
    ],
)
def test_what_doit_would_ignore_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / ".doit.cfg"
    path.write_text(text)
    with pytest.raises(KnitterError) as caught:
        config.read(path)
    assert says in caught.value.brief + caught.value.hint


def test_the_file_of_the_repository_is_good() -> None:
    assert config.read(ROOT / ".doit.cfg")["sort"] == "definition"

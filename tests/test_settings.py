from pathlib import Path

import pytest

from knitter.errors import KnitterError
from knitter.settings import Settings, load

ROOT = Path(__file__).resolve().parent.parent


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / ".doit.cfg"
    path.write_text(f"[knitter]\n{text}\n")
    return path


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    settings = load(tmp_path / ".doit.cfg", {})
    assert settings.cloud == "lab"
    assert settings.build_directory == tmp_path / "build"


def test_a_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    path = written(tmp_path, "region = eu-west-1\nrefresh = 7d\nboot_check = no\nuploads = 16")
    settings = load(path, {"KNITTER_UPLOADS": "8", "HOME": "/x"})
    assert (settings.region, settings.refresh, settings.boot_check, settings.uploads) == ("eu-west-1", 604800, False, 8)


def test_it_is_known_what_the_environment_says_of_one_run(tmp_path: Path) -> None:
    settings = load(written(tmp_path, "region = eu-west-1"), {"KNITTER_VIA": "surrogate"})
    assert settings.is_overridden("via")
    assert not settings.is_overridden("region")


def test_words_are_split_at_commas_and_spaces(tmp_path: Path) -> None:
    settings = load(written(tmp_path, "surrogate_types = m5.large, t3.medium\n  t3.small"), {})
    assert settings.surrogate_types == ("m5.large", "t3.medium", "t3.small")


def test_mirrors_are_one_per_line(tmp_path: Path) -> None:
    path = written(tmp_path, "mirrors =\n    https://a.example/debian = http://b.example/d\n    https://c = http://d")
    assert load(path, {}).mirrors == {"https://a.example/debian": "http://b.example/d", "https://c": "http://d"}


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("regoin = x", "there is no setting 'regoin'", "did you mean 'region'?"),
        ("cloud = azure", "cloud = 'azure'", "README.md"),
        ("refresh = often", "'often' is not a duration", "README.md"),
        ("uploads = 500", "uploads = '500'", "README.md"),
        ("region = EU West", "region = 'EU West'", "README.md"),
        ("endpoint = localhost:5000", "endpoint = 'localhost:5000'", "README.md"),
        ("mirrors = nonsense", "'nonsense' is not of the form", "README.md"),
        ("surrogate_image = debian", "surrogate_image = 'debian'", "README.md"),
        ("surrogate_ttl = 10s", "surrogate_ttl = '10s'", "README.md"),
    ],
    ids=["unknown", "choice", "duration", "range", "region", "endpoint", "table", "image", "short"],
)
def test_a_wrong_setting_is_named_with_its_file(tmp_path: Path, text: str, says: str, hint: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(KnitterError) as caught:
        load(path, {})
    assert says in caught.value.details
    assert f"{path} [knitter]" in caught.value.details
    assert hint in caught.value.hint


def test_a_wrong_variable_is_named_as_a_variable(tmp_path: Path) -> None:
    with pytest.raises(KnitterError) as caught:
        load(tmp_path / ".doit.cfg", {"KNITTER_CLOUDS": "aws"})
    assert caught.value.details == "KNITTER_CLOUDS: there is no setting 'clouds'"


def test_what_is_no_ini_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ".doit.cfg"
    path.write_text("cloud = lab\n")
    with pytest.raises(KnitterError, match="is not a settings file"):
        load(path, {})


def test_the_file_of_the_repository_names_every_setting() -> None:
    text = (ROOT / ".doit.cfg").read_text()
    assert [name for name in Settings.model_fields if f"{name} =" not in text] == []
    load(ROOT / ".doit.cfg", {})


def test_the_readme_tells_every_setting_and_its_default() -> None:
    rows = {
        line.split("|")[1].strip(" `"): line for line in (ROOT / "README.md").read_text().splitlines() if "| `" in line
    }
    shown = {"cache_directory": "~/.cache/knitter", "refresh": "24h", "surrogate_ttl": "1h"}
    for name, field in Settings.model_fields.items():
        words = {False: "no", True: "yes"}.get(field.default) if isinstance(field.default, bool) else None
        default = shown.get(name, words or (str(field.default) if field.default not in ("", {}, ()) else ""))
        assert rows[name].split("|")[2].strip(" `") == default

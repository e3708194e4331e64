"""Each bad recipe in refused/*.txt, and all that is said about it.

A file holds cases parted by `#---`; the lines of a case that begin with `#>` are the error, whole.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from knitter.errors import RecipeError
from knitter.recipe.load import load


def _cases() -> Iterator[object]:
    for file in sorted(Path(__file__).with_name("refused").glob("*.txt")):
        for number, case in enumerate(file.read_text().split("#---\n")):
            yield pytest.param(case, id=f"{file.stem}-{number}")


@pytest.mark.parametrize("case", list(_cases()))
def test_error_says_file_line_path_found_and_allowed(case: str, recipes: Path, write) -> None:
    expected = [line.removeprefix("#> ") for line in case.splitlines() if line.startswith("#>")]
    write("bad", case)
    with pytest.raises(RecipeError) as caught:
        load(recipes, "bad")
    assert caught.value.details.replace("recipes/bad/", "").splitlines() == expected
    count = "a problem" if len(expected) == 1 else f"{len(expected)} problems"
    assert caught.value.brief == f"recipe 'bad' has {count}"
    assert caught.value.hint


def test_too_many_tags_are_counted(recipes: Path, write) -> None:
    tags = "\n".join(f'tag{number} = "x"' for number in range(43))
    write("bad", f'packages.release = "bookworm"\n[ami.tags]\n{tags}')
    with pytest.raises(RecipeError) as caught:
        load(recipes, "bad")
    assert caught.value.details.endswith("recipe.toml:2: ami.tags: 43 tags; EC2 allows 50, of which 8 are knitter's")


def test_a_long_value_is_cut(recipes: Path, write) -> None:
    write("bad", f'packages.release = "bookworm"\nami.description = "{"x" * 256}"')
    with pytest.raises(RecipeError) as caught:
        load(recipes, "bad")
    assert caught.value.details.endswith("xxx...: must be one line of at most 255 ASCII characters")
    assert len(caught.value.details) < 200


@pytest.mark.parametrize(
    ("data", "brief"),
    [
        (b'a = 1\nb = "x\n', "recipes/bad/recipe.toml:2: not TOML: Illegal character '\\n'"),
        (b"a = 1\nb = ", "recipes/bad/recipe.toml:2: not TOML: Invalid value"),
        (b"a = 1\na = 2\n", "recipes/bad/recipe.toml:2: not TOML: Cannot overwrite a value"),
        (b"a = [1,\n2\n", "recipes/bad/recipe.toml:2: not TOML: Unclosed array"),
        (b"a = 1\n\n# \xff\n", "recipes/bad/recipe.toml:3: not UTF-8 text"),
    ],
)
def test_syntax_error_has_its_line(data: bytes, brief: str, recipes: Path, write) -> None:
    write("bad", "").write_bytes(data)
    with pytest.raises(RecipeError) as caught:
        load(recipes, "bad")
    assert caught.value.brief == brief


def test_an_empty_file_lacks_its_packages(recipes: Path, write) -> None:
    write("bad", "")
    with pytest.raises(RecipeError) as caught:
        load(recipes, "bad")
    assert caught.value.details == (
        "recipes/bad/recipe.toml: packages: is missing: What the root file system is bootstrapped from."
    )


def test_a_folder_that_cannot_be_a_recipe(recipes: Path, write) -> None:
    write("my recipe", 'packages.release = "bookworm"')
    with pytest.raises(RecipeError) as caught:
        load(recipes, "my recipe")
    assert "at most 64 letters, digits, ., _ and -" in caught.value.details

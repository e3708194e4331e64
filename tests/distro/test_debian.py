"""Facts of the Debian family."""

import pytest

from knitter.distro.debian import DISTRIBUTIONS, distribution_of
from knitter.errors import RecipeError


@pytest.mark.parametrize(("release", "name"), [("bookworm", "Debian"), ("trixie", "Debian"), ("noble", "Ubuntu")])
def test_release_has_a_distribution(release: str, name: str) -> None:
    assert distribution_of(release).name == name


def test_misspelt_release() -> None:
    with pytest.raises(RecipeError, match="'bokworm' is no release that knitter knows") as caught:
        distribution_of("bokworm")
    assert "did you mean 'bookworm'?" in caught.value.hint
    assert "packages.repositories and packages.keyring" in caught.value.hint


def test_no_release_is_of_two_distributions() -> None:
    releases = [release for one in DISTRIBUTIONS for release in one.releases]
    assert len(releases) == len(set(releases))

"""The families of distributions."""

from typing import assert_never

from knitter.recipe.model import DebianPackages, Recipe, RedhatPackages
from knitter.root.debian import Debian
from knitter.root.family import Family
from knitter.root.redhat import Redhat


def family_of(recipe: Recipe) -> Family:
    """How the root of *recipe* is made."""
    match recipe.packages:
        case DebianPackages() as packages:
            return Debian(recipe, packages)
        case RedhatPackages() as packages:
            return Redhat(recipe, packages)
        case never:
            assert_never(never)

"""From names of packages to hashes of files, as each family does it.

resolve     signed repositories -> Lock
verify      what was fetched is signed as the recipe wants it, unless a signed index vouched for it already
apt, dnf    the families
"""

from typing import assert_never

from knitter.lock import Lock
from knitter.recipe.model import DebianPackages, Recipe, RedhatPackages
from knitter.resolve import apt
from knitter.resolve.place import Place


def resolve(recipe: Recipe, place: Place) -> Lock:
    """The packages of *recipe*, from signed repositories.

    Raises KnitterError: a repository that cannot be reached or trusted, a package that does not exist, no solution.
    """
    match recipe.packages:
        case DebianPackages() as wanted:
            return apt.resolve(wanted, keyring=apt.find_keyring(recipe, wanted), place=place)
        case RedhatPackages():
            raise NotImplementedError
        case never:
            assert_never(never)

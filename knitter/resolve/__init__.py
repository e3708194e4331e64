"""From names of packages to hashes of files, as each family does it.

resolve       signed repositories -> Lock
verify        what was fetched is signed as the lock says, where no signed index vouched for it already
apt           the Debian family
dnf           the RPM family, with metadata (its repositories), keys and signatures
"""

from typing import assert_never

from knitter.lock import Lock
from knitter.recipe.model import DebianPackages, Recipe, RedhatPackages
from knitter.resolve import apt, dnf, keys, signatures
from knitter.resolve.place import Place


def resolve(recipe: Recipe, place: Place) -> Lock:
    """The packages of *recipe*, from signed repositories.

    Raises KnitterError: a repository that cannot be reached or trusted, a package that does not exist, no solution.
    """
    match recipe.packages:
        case DebianPackages() as wanted:
            return apt.resolve(wanted, keyring=apt.find_keyring(recipe, wanted), place=place)
        case RedhatPackages() as wanted:
            return dnf.resolve(recipe, wanted, place)
        case never:
            assert_never(never)


def verify(recipe: Recipe, lock: Lock, place: Place) -> None:
    """Look at the signatures of the packages of *lock*, which are in the cache; the keys are brought if they are not.

    Raises KnitterError for a bad one, which is removed; NotOnMirrorError if a key is no longer the one of the lock.
    """
    match recipe.packages:
        case DebianPackages():
            pass  # the hashes in the lock are those of indices that were signed
        case RedhatPackages() as wanted:
            keys.ensure(recipe, wanted.keys, lock.keys, place)
            signatures.verify(lock, place)
        case never:
            assert_never(never)

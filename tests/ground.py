"""A desk on which the recipe of an RPM distribution is built of a synthetic one, which is served on loopback.

The recipe is the very file of recipes/; what tests alone say is where its mirror is, and whose key signs.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from knitter.stages.disk import RAW
from tests import rootless
from tests.desk import Desk
from tests.synthetic.served import Served

MIRRORS: Final = {"centos-6.9": "https://vault.centos.org", "almalinux-9": "https://repo.almalinux.org"}
"""Recipe -> what its URLs begin with."""
_FINGERPRINT: Final = re.compile(r'(?m)^fingerprint = ".*"$')


@contextmanager
def settled(served: Served, recipe: str, root: Path, cache: Path, **settings: str) -> Iterator[Desk]:
    """A desk in *root* for *recipe* and what extends it.  Its lab is stopped at the end."""
    desk = Desk(root, cache, {"mirrors": f"{MIRRORS[recipe]} = {served.url}", **settings})
    path = desk.root / "recipes" / recipe / "recipe.toml"
    text, count = _FINGERPRINT.subn(f'fingerprint = "{served.distribution.fingerprint}"', path.read_text())
    assert count == 1
    path.write_text(text)
    yield desk
    desk.stop_lab()


@contextmanager
def made_again(served: Served, recipe: str, desk: Desk) -> Iterator[Path]:
    """The disk of *recipe* of the lock that *desk* has, made elsewhere, with an empty cache, by an ordinary user."""
    with (
        rootless.folder() as root,
        rootless.user() as user,
        settled(served, recipe, root / "desk", root / "home/cache") as other,
    ):
        lock = (desk.build / recipe / "packages.lock").read_bytes()
        (other.root / "recipes" / recipe / "packages.lock").write_bytes(lock)
        rootless.doit(root, other, user, f"disk:{recipe}")
        yield other.build / recipe / RAW

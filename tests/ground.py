"""A desk on which the recipe of an RPM distribution is built from a synthetic one, which is served on loopback.

The recipe is the very file of recipes/; what tests alone say is where its mirror is and whose key signs.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests import synthetic
from tests.desk import Desk
from tests.file_server import FileServer
from tests.synthetic import Shape

MIRRORS: Final = {"centos-6.9": "https://vault.centos.org", "almalinux-9": "https://repo.almalinux.org"}
"""Recipe -> what its URLs begin with."""
_FINGERPRINT: Final = re.compile(r'(?m)^fingerprint = ".*"$')


@contextmanager
def served(root: Path, cache: Path, recipe: str, shape: Shape, **settings: str) -> Iterator[Desk]:
    """A desk in *root* for *recipe* and what extends it.  Its lab is stopped at the end."""
    distribution = synthetic.ensure(shape)
    with FileServer(distribution.www) as server:
        desk = Desk(root, cache, {"mirrors": f"{MIRRORS[recipe]} = {server.url}", **settings})
        trust(desk.root / "recipes" / recipe, distribution.fingerprint)
        yield desk
        desk.stop_lab()


def trust(folder: Path, fingerprint: str) -> None:
    """Let the recipe in *folder* want the key with *fingerprint*."""
    path = folder / "recipe.toml"
    path.write_text(_FINGERPRINT.sub(f'fingerprint = "{fingerprint}"', path.read_text()))

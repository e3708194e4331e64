import pytest

from knitter.disk.geometry import plan_layout
from knitter.errors import RecipeError
from knitter.recipe.disk import Disk
from knitter.recipe.partitions import BiosBoot, Filesystem
from knitter.units import GIB, MIB, SECTOR
from tests.disk.conftest import layout_of

ROOT = {"kind": "filesystem", "size": "rest", "mount": "/"}
BOOT = {"kind": "bios-boot", "size": "1MiB"}
ESP = {"kind": "esp", "size": "64MiB"}
SWAP = {"kind": "swap", "size": "100MiB"}
DATA = {"kind": "filesystem", "size": "200MiB", "mount": "/srv"}
ODD = {"kind": "filesystem", "size": "9000000B", "mount": "/odd"}


@pytest.mark.parametrize(
    ("partitions", "label", "places"),
    [
        ((BOOT, ESP, ROOT), "gpt", [(1, 1), (2, 64), (66, 957)]),
        ((ROOT,), "msdos", [(1, 1022)]),
        ((ROOT, DATA, SWAP), "gpt", [(1, 722), (723, 200), (923, 100)]),
        ((ODD, ROOT), "gpt", [(1, 9), (10, 1013)]),
    ],
    ids=["usual", "msdos", "rest first", "rounded up"],
)
def test_partitions_lie_in_whole_mib_one_after_another(
    partitions: tuple[dict[str, str], ...], label: str, places: list[tuple[int, int]]
) -> None:
    layout = layout_of(*partitions, label=label)
    assert [(one.offset // MIB, one.size // MIB) for one in layout.slices] == places
    assert all(one.offset % MIB == 0 and one.size % MIB == 0 for one in layout.slices)
    assert layout.slices[-1].offset + layout.slices[-1].size <= layout.size - 33 * SECTOR


def test_ids_are_golden() -> None:
    layout = layout_of(BOOT, ESP, ROOT)
    assert str(layout.uuid) == "b33dc502-d562-5791-bc57-29987badb97a"
    assert [str(one.guid) for one in layout.slices] == [
        "e17507b6-1208-55f3-86e6-e433d9c9b8e3",
        "a3f54e5a-66b7-5b44-b16c-b0ae6c8e3f3a",
        "d52b7fc1-8355-56c9-a4c3-6df4d00d0fb6",
    ]
    assert [one.source_id for one in layout.slices] == [
        "e9b954ef-9f24-5a8f-ba6c-d44d34e6046b",
        "B6B0-4310",
        "ed273716-37d2-54c1-b7f4-458a1247d98f",
    ]
    assert layout.disk_id == layout.uuid.int % 2**32


def test_ids_follow_from_the_seed_and_no_two_are_equal() -> None:
    disk = Disk()
    one, other = plan_layout(disk, "a"), plan_layout(disk, "b")
    ids = [
        identity
        for layout in (one, other)
        for identity in (layout.uuid, *(found for each in layout.slices for found in (each.guid, each.uuid)))
    ]
    assert plan_layout(disk, "a") == one
    assert len(set(ids)) == len(ids) == 14


def test_the_deepest_mount_point_holds_a_path() -> None:
    layout = layout_of(
        ROOT, DATA, {"kind": "filesystem", "size": "100MiB", "mount": "/srv/www"}, {**ESP, "mount": "/boot/efi"}
    )
    holders = {path: layout.holding(path).mount for path in ("/", "/srvx", "/srv", "/srv/w", "/srv/www/a", "/boot")}
    assert holders == {"/": "/", "/srvx": "/", "/srv": "/srv", "/srv/w": "/srv", "/srv/www/a": "/srv/www", "/boot": "/"}
    assert layout.root.number == 1


@pytest.mark.parametrize("sizes", [(GIB, MIB), (GIB - 2 * MIB, "rest")], ids=["too much", "nothing left"])
def test_what_does_not_fit_is_refused(sizes: tuple[int, int | str]) -> None:
    partitions = (BiosBoot(kind="bios-boot"), Filesystem.model_construct(size=sizes[0], mount="/"))
    rest = Filesystem.model_construct(size=sizes[1], mount="/srv")
    with pytest.raises(RecipeError, match="do not fit on a disk of 1GiB"):
        plan_layout(Disk.model_construct(size=GIB, label="gpt", partitions=(*partitions, rest)), "seed")

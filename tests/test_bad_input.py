"""What a user gets wrong, at the command line: one clear message, exit code not 0, nothing made, nothing lost."""

from pathlib import Path

import pytest

from tests.desk import Desk

pytestmark = pytest.mark.lab
ROOT_PARTITION = '[[disk.partitions]]\nsize = "rest"\nmount = "/"\n'
BIOS = '[[disk.partitions]]\nkind = "bios-boot"\n'
HEAD = 'extends = "debian-12"\n'


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("bad")
    return Desk(folder / "desk", folder / "cache")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + "[disk]\nsise = '8GiB'", ["recipe.toml", "sise", "size"]),
        (HEAD + "[disk]\nsize = 8", ["recipe.toml", "disk.size", "8GiB"]),
        (HEAD + "[disk]\nsize = '10MiB'", ["recipe.toml", "disk.size"]),
        (HEAD + "[disk]\nsize = '1GiB'\n" + ROOT_PARTITION.replace("rest", "2GiB"), ["recipe.toml", "disk"]),
        (HEAD + "[boot]\nfirmware = 'bios'\n[disk]\n" + BIOS, ["recipe.toml", "root", "/"]),
        (HEAD + "[boot]\nfirmware = 'bios'\n[disk]\n" + BIOS + ROOT_PARTITION * 2, ["recipe.toml", "rest"]),
        (
            HEAD
            + "[boot]\nfirmware = 'bios'\n[disk]\nlabel = 'msdos'\n"
            + "".join(f'[[disk.partitions]]\nsize = "300MiB"\nmount = "/d{number}"\n' for number in range(4))
            + ROOT_PARTITION,
            ["recipe.toml", "msdos", "4"],
        ),
        (HEAD + "[boot]\nfirmware='bios'\n[disk]\nlabel='msdos'\nsize='3TiB'\n" + ROOT_PARTITION, ["msdos", "2"]),
        (HEAD + "[boot]\nfirmware = 'uefi'\n[disk]\n" + ROOT_PARTITION, ["recipe.toml", "esp"]),
        ('extends = "debian-13x"\n', ["debian-13x", "debian-12"]),
        ("[packages\n", ["recipe.toml:1:", "not TOML"]),
        (HEAD + "[packages]\nrelease = 'bokworm'", ["bokworm", "bookworm"]),
    ],
    ids=[
        "unknown key",
        "wrong type",
        "below minimum",
        "too large",
        "no root",
        "two roots",
        "msdos five",
        "msdos large",
        "no esp",
        "unknown parent",
        "syntax",
        "unknown release",
    ],
)
def test_a_wrong_recipe(desk: Desk, text: str, says: list[str]) -> None:
    desk.write_recipe("bad", text)
    output = desk.doit("disk:bad", fails=True)
    assert [word for word in says if word not in output] == [], output
    assert not (desk.build / "bad" / "disk.json").exists()


def test_a_folder_without_a_recipe(desk: Desk) -> None:
    (desk.root / "recipes" / "hollow").mkdir()
    try:
        output = desk.doit("disk:hollow", fails=True)
        assert "hollow" in output
        assert "recipe.toml" in output
        assert "hollow" in desk.doit("list")
    finally:
        (desk.root / "recipes" / "hollow").rmdir()


def test_one_bad_recipe_does_not_break_the_others(desk: Desk) -> None:
    desk.write_recipe("bad", "nonsense = 1\n")
    assert "debian-12" in desk.doit("list")
    assert "debian-12" in desk.doit()


def test_a_wrong_setting(desk: Desk) -> None:
    path = desk.root / ".doit.cfg"
    text = path.read_text()
    path.write_text(text + "\nregoin = eu-west-1\n")
    try:
        output = desk.doit("list", fails=True)
        assert "regoin" in output
        assert "did you mean 'region'?" in output
    finally:
        path.write_text(text)


def test_a_build_directory_that_cannot_be(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    output = desk.doit("list", fails=True, build_directory=str(tmp_path / "file" / "build"))
    assert "build_directory" in output


def test_a_build_directory_that_is_not_writable(desk: Desk) -> None:
    """Not even root writes in /proc."""
    assert "build_directory" in desk.doit("list", fails=True, build_directory="/proc/knitter")


def test_a_mirror_that_is_down(desk: Desk) -> None:
    text = HEAD + '[[packages.repositories]]\nurl = "http://127.0.0.1:9/debian"\nsuite = "bookworm"\n'
    desk.write_recipe("down", text)
    output = desk.doit("packages:down", fails=True)
    assert "127.0.0.1:9" in output
    assert not (desk.build / "down" / "packages.lock").exists()


def test_plain_doit_works_in_any_folder_below(desk: Desk) -> None:
    sub = Desk.__new__(Desk)
    sub.__dict__ = {**desk.__dict__, "root": desk.root / "recipes"}
    assert "debian-12" in sub.doit("list")


def test_the_list_fits_80_columns(desk: Desk) -> None:
    desk.write_recipe("bad", HEAD)
    lines = desk.doit("list").splitlines()
    assert max(map(len, lines)) <= 80
    stages = [line.split()[0] for line in lines if ":debian-12" in line]
    assert stages == [
        f"{stage}:debian-12"
        for stage in ("build", "packages", "rootfs", "disk", "boot", "snapshot", "ami", "launch", "preflight")
    ]

"""Recipes found, read, and laid over the ones they extend."""

from pathlib import Path

import pytest

from knitter.errors import RecipeError
from knitter.recipe.load import load, names
from knitter.recipe.source import merge
from knitter.units import GIB

ROOT = Path(__file__).resolve().parents[2]
MINIMAL = 'packages.release = "bookworm"\n'


@pytest.mark.parametrize("name", names(ROOT / "recipes"))
def test_every_recipe_of_the_repository_loads(name: str) -> None:
    assert load(ROOT / "recipes", name).name == name


def test_names_are_the_folders(recipes: Path, write) -> None:
    for name in ("b", "a", "_base", ".git"):
        write(name, MINIMAL)
    (recipes / "empty").mkdir()
    (recipes / "README.md").write_text("")
    assert names(recipes) == ("a", "b", "empty")


def test_no_folder_of_recipes_is_no_recipes(tmp_path: Path) -> None:
    assert names(tmp_path / "recipes") == ()


def test_defaults(recipes: Path, write) -> None:
    write("toy", MINIMAL)
    recipe = load(recipes, "toy")
    assert recipe.directory == recipes / "toy"
    assert recipe.layers == (recipes / "toy",)
    assert recipe.disk.size == 8 * GIB
    assert [partition.kind for partition in recipe.disk.partitions] == ["bios-boot", "esp", "filesystem"]
    assert recipe.boot_mode == "uefi-preferred"
    assert recipe.ami.fill_name(recipe="toy", date="20261123", key="0" * 8, architecture="x86_64") == (
        "toy-20261123-00000000"
    )


def test_all_that_a_recipe_can_say(recipes: Path, write) -> None:
    path = write("full", (Path(__file__).with_name("full.toml")).read_text())
    for name in ("keys/archive.asc", "tune.sh", "files/etc/app/secret"):
        (path.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (path.parent / name).write_text("")
    recipe = load(recipes, "full")
    assert recipe.path_of(recipe.packages.keyring) == recipes / "full/keys/archive.asc"
    assert [getattr(partition, "mount", "") for partition in recipe.disk.partitions] == [
        "",
        "",
        "/boot/efi",
        "/srv",
        "/",
    ]
    assert recipe.ami.volume.size == 20 * GIB
    assert recipe.boot_mode == "uefi"
    assert recipe.check.probes[0].expect == "^active$"


def test_all_that_an_rpm_recipe_can_say(recipes: Path, write) -> None:
    path = write("full", (Path(__file__).with_name("redhat.toml")).read_text())
    (path.parent / "keys").mkdir()
    (path.parent / "keys/RPM-GPG-KEY-example").write_text("")
    wanted = load(recipes, "full").packages
    assert wanted.keys[0].fingerprint == "0123456789ABCDEF0123456789ABCDEF01234567"
    assert [one.source for one in wanted.repositories] == ["url", "mirrorlist", "metalink"]
    assert wanted.key_files == {("keys", 0, "file"): "keys/RPM-GPG-KEY-example"}


def test_arm64_fits_the_model(recipes: Path, write) -> None:
    write("arm", MINIMAL + 'packages.architecture = "arm64"\nboot.firmware = "uefi"')
    assert load(recipes, "arm").boot_mode == "uefi"


# Merging -------------------------------------------------------------------------------------------------------------

MERGES = {
    "tables merge key by key": (
        {"disk": {"size": "8GiB", "label": "gpt"}},
        {"disk": {"size": "9GiB"}},
        {"disk": {"size": "9GiB", "label": "gpt"}},
    ),
    "tables in tables too": (
        {"system": {"services": {"a.service": "enabled", "b.service": "enabled"}}},
        {"system": {"services": {"b.service": "disabled"}}},
        {"system": {"services": {"a.service": "enabled", "b.service": "disabled"}}},
    ),
    "lists replace": (
        {"system": {"scripts": ["a"]}},
        {"system": {"scripts": ["b"]}},
        {"system": {"scripts": ["b"]}},
    ),
    "a list of tables is a list": (
        {"disk": {"partitions": [{"mount": "/"}, {"mount": "/srv"}]}},
        {"disk": {"partitions": [{"size": "rest"}]}},
        {"disk": {"partitions": [{"size": "rest"}]}},
    ),
    "install adds, once each, the parent's first": (
        {"packages": {"install": ["b", "a"]}},
        {"packages": {"install": ["c", "a"]}},
        {"packages": {"install": ["b", "a", "c"]}},
    ),
    "install is inherited": (
        {"packages": {"install": ["a"]}},
        {"packages": {"release": "x"}},
        {"packages": {"install": ["a"], "release": "x"}},
    ),
    "remove takes out of the parent's install": (
        {"packages": {"install": ["a", "b"]}},
        {"packages": {"remove": ["a"], "install": ["c"]}},
        {"packages": {"install": ["b", "c"], "remove": ["a"]}},
    ),
    "remove replaces": (
        {"packages": {"remove": ["a"]}},
        {"packages": {"remove": ["b"]}},
        {"packages": {"remove": ["b"]}},
    ),
    "a wrong remove leaves install alone, for the model to refuse": (
        {"packages": {"install": ["a"]}},
        {"packages": {"remove": "a"}},
        {"packages": {"install": ["a"], "remove": "a"}},
    ),
    "a wrong install too": (
        {"packages": {"install": ["a"]}},
        {"packages": {"install": "b"}},
        {"packages": {"install": "b"}},
    ),
    "what is of another type replaces": ({"disk": {"size": "8GiB"}}, {"disk": 3}, {"disk": 3}),
    "a wrong install of the parent is replaced": (
        {"packages": {"install": "a"}},
        {"packages": {"install": ["b"]}},
        {"packages": {"install": ["b"]}},
    ),
}


@pytest.mark.parametrize(("parent", "child", "merged"), MERGES.values(), ids=MERGES)
def test_merge(parent: dict, child: dict, merged: dict) -> None:
    assert merge([parent, child]) == merged


def test_merge_changes_nothing_given() -> None:
    parent = {"packages": {"install": ["a"]}}
    merge([parent, {"packages": {"install": ["b"]}}])
    assert parent == {"packages": {"install": ["a"]}}


# Extending -----------------------------------------------------------------------------------------------------------


def test_a_grandchild(recipes: Path, write) -> None:
    write("_base", MINIMAL + 'packages.install = ["vim"]\nboot.arguments = "quiet"')
    write("web", 'extends = "_base"\ndescription = "web"\npackages.install = ["nginx"]')
    write("shop", 'extends = "web"\npackages.install = ["php"]\nboot.arguments = "quiet splash"')
    recipe = load(recipes, "shop")
    assert recipe.packages.install == ("vim", "nginx", "php")
    assert (recipe.description, recipe.boot.arguments) == ("web", "quiet splash")
    assert recipe.layers == (recipes / "_base", recipes / "web", recipes / "shop")


def test_files_of_the_parent_are_found_and_the_childs_win(recipes: Path, write) -> None:
    write("_base", MINIMAL + 'packages.keyring = "keys/k.asc"\nsystem.scripts = ["a.sh", "b.sh"]')
    write("web", 'extends = "_base"\n[[system.files]]\npath = "/etc/motd"')
    for name in ("_base/keys/k.asc", "_base/a.sh", "_base/b.sh", "web/b.sh", "_base/files/etc/motd"):
        (recipes / name).parent.mkdir(parents=True, exist_ok=True)
        (recipes / name).write_text("")
    recipe = load(recipes, "web")
    assert recipe.path_of("keys/k.asc") == recipes / "_base/keys/k.asc"
    assert recipe.path_of("a.sh") == recipes / "_base/a.sh"
    assert recipe.path_of("b.sh") == recipes / "web/b.sh"
    assert recipe.path_of("/usr/share/keyrings/x.gpg") == Path("/usr/share/keyrings/x.gpg")


def test_an_overlay_path_may_be_a_dangling_link(recipes: Path, write) -> None:
    path = write("toy", MINIMAL + '[[system.files]]\npath = "/etc/localtime"')
    (path.parent / "files/etc").mkdir(parents=True)
    (path.parent / "files/etc/localtime").symlink_to("/nowhere/at/all")
    assert load(recipes, "toy").system.files[0].path == "/etc/localtime"


def test_errors_name_the_file_that_wrote_the_value(recipes: Path, write) -> None:
    write(
        "_base",
        '[packages]\nrelease = "bookworm"\ninstall = [\n  "vim",\n  "Bad",\n]\n[disk]\nsize = "1MiB"\n'
        'partitions = [{ mount = "/", size = "rest" }, { kind = "swp" }]\n',
    )
    write("web", 'extends = "_base"\n\n[packages]\ninstall = ["also bad"]\n[system]\nhostname = "_"\n')
    with pytest.raises(RecipeError) as caught:
        load(recipes, "web")
    assert [line.split(" = ")[0] for line in caught.value.details.splitlines()] == [
        "recipes/web/recipe.toml:4: packages.install[0]",
        "recipes/web/recipe.toml:6: system.hostname",
        "recipes/_base/recipe.toml:5: packages.install[1]",
        "recipes/_base/recipe.toml:8: disk.size",
        "recipes/_base/recipe.toml:9: disk.partitions[1].kind",
    ]


def test_a_list_is_looked_for_in_the_file_that_wrote_it(recipes: Path, write) -> None:
    write("_base", MINIMAL + '[[disk.partitions]]\nmount = "/"\nsize = "rest"\nlabel = "root"')
    write("web", 'extends = "_base"\n[[disk.partitions]]\nsize = "rest"')
    with pytest.raises(RecipeError) as caught:
        load(recipes, "web")
    assert caught.value.details.startswith("recipes/web/recipe.toml:2: disk.partitions[0].mount: is missing")


def test_two_files_that_disagree(recipes: Path, write) -> None:
    write("_base", MINIMAL + 'packages.remove = ["nano"]')
    write("web", 'extends = "_base"\npackages.install = ["nano"]')
    with pytest.raises(RecipeError) as caught:
        load(recipes, "web")
    assert caught.value.details == (
        'recipes/_base/recipe.toml:2: packages.remove[0] = "nano": is in packages.install[0] too'
    )


BAD_PARENTS = {
    "circle": (
        {"a": 'extends = "b"', "b": '# first\nextends = "c"', "c": 'extends = "b"'},
        ("recipes extend each other in a circle", "recipes/c/recipe.toml:1: b -> c -> b", ""),
    ),
    "itself": (
        {"a": 'extends = "a"'},
        ("recipes extend each other in a circle", "recipes/a/recipe.toml:1: a -> a", ""),
    ),
    "misspelt": (
        {"debian-12": MINIMAL, "a": '# first\nextends = "debian12"'},
        ("recipes/a/recipe.toml:2: there is no recipe 'debian12' to extend", "", "did you mean 'debian-12'?"),
    ),
    "elsewhere": (
        {"a": 'extends = "../a"'},
        ("recipes/a/recipe.toml:1: there is no recipe '../a' to extend", "", "allowed: a"),
    ),
    "two": (
        {"a": 'extends = ["b", "c"]'},
        ("recipes/a/recipe.toml:1: extends is not the name of a recipe", "", 'write extends = "name", only one'),
    ),
}


@pytest.mark.parametrize(("files", "expected"), BAD_PARENTS.values(), ids=BAD_PARENTS)
def test_what_cannot_be_extended(files: dict, expected: tuple, recipes: Path, write) -> None:
    for name, text in files.items():
        write(name, text)
    with pytest.raises(RecipeError) as caught:
        load(recipes, "a")
    assert (caught.value.brief, caught.value.details, caught.value.hint) == expected


@pytest.mark.parametrize("name", ["debian-21", "../recipes/debian-12", "", ".", ".."])
def test_no_such_recipe(name: str, recipes: Path, write) -> None:
    write("debian-12", MINIMAL)
    with pytest.raises(RecipeError) as caught:
        load(recipes, name)
    assert caught.value.brief == f"there is no recipe {name!r} in {recipes}"
    assert "debian-12" in caught.value.hint


def test_a_link_to_a_folder_has_the_links_name(recipes: Path, write, tmp_path: Path) -> None:
    write("debian-12", MINIMAL).parent.rename(tmp_path / "elsewhere")
    (recipes / "linked").symlink_to(tmp_path / "elsewhere")
    assert names(recipes) == ("linked",)
    assert load(recipes, "linked").name == "linked"


def test_a_folder_without_recipe_toml(recipes: Path) -> None:
    (recipes / "empty").mkdir()
    with pytest.raises(RecipeError) as caught:
        load(recipes, "empty")
    assert caught.value.brief == "there is no recipes/empty/recipe.toml"
    assert "remove the folder" in caught.value.hint


def test_a_recipe_toml_that_cannot_be_read(recipes: Path) -> None:
    (recipes / "odd" / "recipe.toml").mkdir(parents=True)
    with pytest.raises(RecipeError) as caught:
        load(recipes, "odd")
    assert caught.value.brief == "recipes/odd/recipe.toml cannot be read"
    assert caught.value.details == "Is a directory"

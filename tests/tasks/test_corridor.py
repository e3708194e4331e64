import pytest

from knitter.tasks.corridor import misnamed

NAMES = ("centos-6.9", "debian-12")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["build:debian-13"], "there is no recipe 'debian-13': did you mean 'debian-12'?"),
        (["-n", "4", "disk:centos-6.9", "boot:fedora"], "there is no recipe 'fedora': allowed: centos-6.9, debian-12"),
        (["info", "buidl:debian-12"], "there is no stage 'buidl': did you mean 'build'?"),
    ],
)
def test_what_is_nearly_a_task_is_refused_with_the_nearest_one(words: list[str], says: str) -> None:
    error = misnamed(words, NAMES)
    assert error
    assert f"{error.brief}: {error.hint}" == says


@pytest.mark.parametrize(
    "words",
    [[], ["list"], ["build:debian-12", "boot"], ["build:*"], ["disk:debian-1?"], ["lab:stop"], ["--db-file=a:b"]],
)
def test_everything_else_is_left_to_doit(words: list[str]) -> None:
    assert misnamed(words, NAMES) is None

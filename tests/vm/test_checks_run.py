"""The checks' shell text, run by a real shell on this host."""

import pytest

from knitter.command import script
from knitter.machine.local import Local
from knitter.vm.checks import _arguments, _clock

pytestmark = pytest.mark.lab


def code(text: str) -> int:
    return Local().run(script(text), check=False).code


def test_kernel_arguments_are_whole_words() -> None:
    words = Local().run(script("cat /proc/cmdline")).text.split()
    assert code(_arguments(" ".join(words))) == 0
    assert code(_arguments(f"{words[0]} surely-not-there")) == 1
    assert code(_arguments(words[0][:-1])) == 1


def test_the_clock_may_be_off_a_little() -> None:
    now = int(Local().run(script("date +%s")).text)
    assert code(_clock(now)) == 0
    assert code(_clock(now + 30)) == 0
    assert code(_clock(now - 3600)) == 1
    assert code(_clock(now + 3600)) == 1

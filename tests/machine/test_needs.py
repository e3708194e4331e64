"""What a recipe needs of the host: tried by real children, one of which really dies."""

from pathlib import Path

import pytest

from knitter.errors import KnitterError
from knitter.machine import needs
from knitter.machine.needs import KNOWN, Requirement, find_fault, require

pytestmark = pytest.mark.lab

DEADLY = "import ctypes\nctypes.CFUNCTYPE(ctypes.c_long)(0x10)()\n"


def test_a_child_that_is_killed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_fault(DEADLY) == "a child process was killed by signal 11"
    assert list(tmp_path.iterdir()) == [], "no core is left"


@pytest.mark.parametrize(("trial", "fault"), [("pass", ""), ("raise SystemExit(3)", "exit code 3")])
def test_how_a_trial_ends(trial: str, fault: str) -> None:
    assert (fault in find_fault(trial)) if fault else find_fault(trial) == ""


def test_a_host_without_it_is_told_how_to_get_it() -> None:
    known = {"vsyscall": Requirement(DEADLY, KNOWN["vsyscall"].lacking, KNOWN["vsyscall"].hint)}
    with pytest.raises(KnitterError, match="this host has no vsyscall page") as caught:
        require(["vsyscall"], known=known)  # type: ignore[arg-type]  # a dictionary's keys are no literals to mypy
    assert 'needs = ["vsyscall"]' in caught.value.details
    assert "signal 11" in caught.value.details
    assert "vsyscall=xonly on its kernel command line and reboot" in caught.value.hint


def test_the_trial_of_vsyscall_agrees_with_the_kernel() -> None:
    shown = "[vsyscall]" in Path("/proc/self/maps").read_text()
    assert (find_fault(needs.KNOWN["vsyscall"].trial) == "") == shown


def test_nothing_needed_is_nothing_tried() -> None:
    require([], known={})

"""Choosing KVM or not: the trial runs for real."""

import json
import os
import time
from pathlib import Path

import pytest

from knitter.errors import KnitterError
from knitter.vm import accelerator

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared: where KVM lies, each trial takes all its seconds."""
    return tmp_path_factory.mktemp("cache")


def test_the_boot_sector_really_runs() -> None:
    assert accelerator.trial("tcg", seconds=60) == ""


def test_a_guest_that_does_not_end_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(accelerator.PAYLOADS, "x86_64", lambda: (b"\xeb\xfe").ljust(510, b"\0") + b"\x55\xaa")
    start = time.monotonic()
    assert "did not end within 1 s" in accelerator.trial("tcg", seconds=1)
    assert time.monotonic() - start < 10


def test_tcg_needs_no_trial(tmp_path: Path) -> None:
    assert accelerator.choose("tcg", cache=tmp_path).name == "tcg"
    assert list(tmp_path.iterdir()) == []


def test_auto_finds_one_that_works_and_remembers(cache: Path) -> None:
    first = accelerator.choose("auto", cache=cache)
    assert accelerator.trial(first.name, seconds=60) == ""
    start = time.monotonic()
    assert accelerator.choose("auto", cache=cache) == first
    assert time.monotonic() - start < 2


def test_a_trial_on_another_host_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "kvm-trial.json").write_text(json.dumps({"host": "other", "works": True, "reason": "invented"}))
    assert accelerator.choose("auto", cache=tmp_path).reason != "invented"


def test_kvm_that_does_not_work_is_an_error_that_says_what_to_do(cache: Path) -> None:
    chosen = accelerator.choose("auto", cache=cache)
    if chosen.name == "kvm":
        assert accelerator.choose("kvm", cache=cache) == chosen
    else:
        with pytest.raises(KnitterError) as caught:
            accelerator.choose("kvm", cache=cache)
        assert caught.value.details == chosen.reason
        assert "accelerator = auto" in caught.value.hint


def test_another_architecture_is_translated(tmp_path: Path) -> None:
    foreign: accelerator.Architecture = "arm64" if os.uname().machine == "x86_64" else "x86_64"
    assert accelerator.choose("auto", architecture=foreign, cache=tmp_path).name == "tcg"


def test_missing_qemu_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KnitterError) as caught:
        accelerator.trial("tcg")
    assert "qemu-system-x86" in caught.value.hint

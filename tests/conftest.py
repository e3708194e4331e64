"""Rules for all tests: a test without a marker starts no process and opens no socket."""

import socket
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _unit_tests_touch_nothing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if {"lab", "boot", "style"} & {marker.name for marker in request.node.iter_markers()}:
        return

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a unit test starts no process and opens no socket; mark it `lab` or `boot`")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)

"""Rules for all tests: a test without a marker starts no process and opens no socket."""

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from knitter.lab import service
from tests import calls
from tests.desk import Desk


def pytest_configure(config: pytest.Config) -> None:
    """Before any lab is started: each is told where to record the calls it hears."""
    folder = tempfile.TemporaryDirectory(prefix="knitter-calls-")
    config.add_cleanup(folder.cleanup)
    calls.begin(Path(folder.name) / "calls")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What looks back on the whole session runs last."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


@pytest.fixture(autouse=True)
def _unit_tests_touch_nothing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if {"lab", "boot", "style"} & {marker.name for marker in request.node.iter_markers()}:
        return

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a unit test starts no process and opens no socket; mark it `lab` or `boot`")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a lab that tests share: each makes things with keys of its own in it."""
    directory = tmp_path_factory.mktemp("lab")
    try:
        yield service.ensure(directory).endpoint
    finally:
        service.stop(directory)


@pytest.fixture(scope="session")
def package_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache shared by the tests of this run; what it holds is verified by content."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory, package_cache: Path) -> Iterator[Desk]:
    """A desk on which debian-12 is built, booted and registered.  Shared: read it, do not change it."""
    desk = Desk(tmp_path_factory.mktemp("debian"), package_cache)
    print(desk.doit("build:debian-12"))
    yield desk
    desk.stop_lab()

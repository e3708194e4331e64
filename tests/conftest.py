"""Rules for all tests: a test without a marker starts no process and opens no socket."""

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knitter.lab import service
from tests import calls, folders, shares
from tests.campaign.row import LINE
from tests.desk import Desk
from tests.ground import settled
from tests.synthetic import EL6, EL9
from tests.synthetic.served import Served, served


def pytest_configure(config: pytest.Config) -> None:
    """Before any lab is started: each is told where to record the calls it hears.  And Ctrl-C is heard."""
    folder = tempfile.TemporaryDirectory(prefix="knitter-calls-")
    config.add_cleanup(folder.cleanup)
    calls.begin(Path(folder.name) / "calls")
    for number, handler in {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}.items():
        if signal.getsignal(number) is signal.SIG_IGN:  # in the background of a script, and under nohup
            signal.signal(number, handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side (`-n`), what shares something stays together, and what takes long begins early."""
    shares.arrange(items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """See tests/shares.py."""
    return shares.Scheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def _every_call_is_in_the_policy() -> Iterator[None]:
    """After the last test, with `-n` of each worker: labs heard nothing that `doit iam-policy` does not grant."""
    yield
    calls.review()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The fault campaign's table: a line from each test that has one."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    lines = sorted(str(line) for report in reports for name, line in report.user_properties if name == LINE)
    if lines:
        terminalreporter.section("fault campaign")
    for line in lines:
        terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def _unit_tests_touch_nothing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if {"lab", "boot", "style"} & {marker.name for marker in request.node.iter_markers()}:
        return

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a unit test starts no process and opens no socket; mark it `lab` or `boot`")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)


@pytest.fixture(autouse=True)
def _disks_go_when_their_test_has_passed(request: pytest.FixtureRequest) -> Iterator[None]:
    """See tests/folders.py."""
    if request.node.get_closest_marker("boot") is None or "tmp_path" not in request.fixturenames:
        yield
        return
    with folders.passing(request, request.getfixturevalue("tmp_path")):
        yield


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
    """A cache shared by the tests of this run, all workers' too; what it holds is verified by content."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory, package_cache: Path) -> Iterator[Desk]:
    """A desk on which debian-12 is built, booted and registered.  Shared: read it, do not change it."""
    desk = Desk(tmp_path_factory.mktemp("debian"), package_cache)
    print(desk.doit("build:debian-12"))
    yield desk
    desk.stop_lab()


@pytest.fixture(scope="session")
def el6() -> Iterator[Served]:
    """The synthetic distribution in EL6's shape; from empty it takes a minute or two to make."""
    with served(EL6) as one:
        yield one


@pytest.fixture(scope="session")
def el9() -> Iterator[Served]:
    """The same in EL9's."""
    with served(EL9) as one:
        yield one


@pytest.fixture(scope="session")
def el6_desk(el6: Served, tmp_path_factory: pytest.TempPathFactory, package_cache: Path) -> Iterator[Desk]:
    """A desk on which centos-6.9 is built of it, booted and registered.  Shared: read it, do not change it."""
    with settled(el6, "centos-6.9", tmp_path_factory.mktemp("el6"), package_cache) as desk:
        print(desk.doit("build:centos-6.9"))
        yield desk


@pytest.fixture(scope="session")
def el9_desk(el9: Served, tmp_path_factory: pytest.TempPathFactory, package_cache: Path) -> Iterator[Desk]:
    """The same with almalinux-9."""
    with settled(el9, "almalinux-9", tmp_path_factory.mktemp("el9"), package_cache) as desk:
        print(desk.doit("build:almalinux-9"))
        yield desk

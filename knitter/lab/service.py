"""Starting, finding and stopping the lab.  The process is its own session: it outlives knitter and its terminal."""

import fcntl
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import knitter
from knitter.errors import KnitterError
from knitter.lab.signature import ACCESS_KEY, SECRET_KEY
from knitter.progress import say
from knitter.receipt import write_atomically

START_LIMIT: Final = 60.0
"""Seconds until the lab must answer; it takes about two, more on a busy machine."""
STOP_LIMIT: Final = 10.0
HEALTH: Final = "/knitter/health"
UNSET: Final = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL_EC2",
    "AWS_ENDPOINT_URL_EBS",
)
"""Variables that would lead a client elsewhere; empty is not enough, a profile named "" would be looked for."""
_STATE: Final = "lab.json"
_LOG: Final = "lab.log"


@dataclass(frozen=True)
class Lab:
    """A lab that answers."""

    endpoint: str
    """Of every AWS service: `http://127.0.0.1:<port>`."""
    pid: int


def ensure(directory: Path, *, port: int = 0, module: str = "knitter.lab") -> Lab:
    """The lab of *directory* (such as build/lab), started if none runs.  *port* 0: any.  Raises KnitterError.

    module: what is started, `python -m module`; one with other machines than QEMU's calls `knitter.lab.__main__.main`.

    A lab of another version of knitter is replaced; it hands over what it made.
    """
    state = _read(directory)
    if state is not None and state["version"] != knitter.__version__:
        stop(directory)
    elif found := find(directory):
        return found
    with _alone(directory):
        return _answer(directory, lambda: _running(directory)) or _start(directory, port, module)


def find(directory: Path) -> Lab | None:
    """The lab of *directory* if it runs and answers."""
    state = _read(directory)
    if state is None or not _alive(state):
        return None
    lab = Lab(state["url"], state["pid"])
    return lab if _answers(lab) else None


def stop(directory: Path) -> bool:
    """End the lab of *directory*; what it made stays.  False if none runs.  Raises KnitterError if it is not ours."""
    state = _read(directory)
    if state is None or not _alive(state):
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):  # what it made is on disk in either case
        _send(state["pid"], number)
        deadline = time.monotonic() + STOP_LIMIT
        while _alive(state) and time.monotonic() < deadline:
            time.sleep(0.02)
        if not _alive(state):
            break
    return True


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        raise KnitterError(f"the lab, process {pid}, belongs to another user", hint="stop it as that user") from None


def environment(lab: Lab, region: str) -> dict[str, str]:
    """What points any AWS client at *lab* and at nothing else, once the variables of UNSET are gone."""
    return {
        "AWS_ENDPOINT_URL": lab.endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def announce(directory: Path, endpoint: str) -> None:
    """The lab's process says where it serves."""
    pid = os.getpid()
    state = {"pid": pid, "started": _start_time(pid), "url": endpoint, "version": knitter.__version__}
    write_atomically(directory / _STATE, (json.dumps(state, indent=2) + "\n").encode())


def retract(directory: Path) -> None:
    """The lab's process ends; its port is remembered, so that shells pointed at it stay right."""
    state = _read(directory)
    if state is not None and state["pid"] == os.getpid():
        write_atomically(directory / _STATE, (json.dumps(state | {"pid": 0}, indent=2) + "\n").encode())


def last_port(directory: Path) -> int:
    """The port of the lab that served *directory* last; 0 if none did."""
    state = _read(directory)
    return (urlsplit(state["url"]).port or 0) if state else 0


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Two knitters start one lab.  Raises KnitterError if nothing can be written there."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "starting").open("w")
    except OSError as error:
        hint = "make it writable, or set build_directory in .doit.cfg"
        raise KnitterError(f"the lab cannot write to {directory}", details=str(error), hint=hint) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start(directory: Path, port: int, module: str) -> Lab:
    say("starting the lab")
    with (directory / _LOG).open("ab") as output:
        begin = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(directory.resolve()), "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
            env=os.environ | {"PYTHONPATH": _import_path()},
        )
    try:
        lab = _answer(directory, lambda: process.poll() is None)
        if lab is None:
            raise _failed(directory / _LOG, begin, process.returncode)
    except BaseException:
        process.kill()
        process.wait()
        raise
    process.returncode = 0  # it is meant to outlive us: no warning that it still runs
    return lab


def _answer(directory: Path, running: Callable[[], bool]) -> Lab | None:
    """The lab as soon as it answers; None if it ends first.  Raises KnitterError at the limit."""
    deadline = time.monotonic() + START_LIMIT
    while running():
        if found := find(directory):
            return found
        if time.monotonic() > deadline:
            raise KnitterError(
                f"the lab has not answered for {START_LIMIT:.0f} s",
                details=f"its log: {directory / _LOG}",
                hint="`doit lab:stop` ends it, also when it hangs",
            )
        time.sleep(0.02)
    return None


def _failed(log: Path, begin: int, code: int) -> KnitterError:
    tail = "\n".join(log.read_bytes()[begin:].decode(errors="replace").splitlines()[-20:])
    return KnitterError(f"the lab did not start: it ended with code {code}", details=tail, hint=f"its log is {log}")


def _import_path() -> str:
    """Where this very knitter was imported from: the lab must be the same one."""
    here = str(Path(knitter.__file__).resolve().parent.parent)
    return os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH", ""))))


def _read(directory: Path) -> dict[str, Any] | None:
    try:
        state = json.loads((directory / _STATE).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return state if isinstance(state, dict) and {"pid", "started", "url", "version"} <= state.keys() else None


def _running(directory: Path) -> bool:
    state = _read(directory)
    return state is not None and _alive(state)


def _alive(state: dict[str, Any]) -> bool:
    """The process is there, and is not another one that was given its number."""
    return bool(state["pid"]) and _start_time(state["pid"]) == state["started"]


def _start_time(pid: int) -> int:
    """When a process started, in clock ticks since the machine did; 0 if it is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    fields = text.rpartition(")")[2].split()  # the name before may hold anything
    return 0 if fields[0] == "Z" else int(fields[19])


def _answers(lab: Lab) -> bool:
    connection = http.client.HTTPConnection(urlsplit(lab.endpoint).netloc, timeout=5)
    try:
        connection.request("GET", HEALTH)
        return bool(json.loads(connection.getresponse().read())["pid"] == lab.pid)
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return False
    finally:
        connection.close()

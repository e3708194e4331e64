"""Signals that end a run, in processes of their own."""

import subprocess
import sys

import pytest

from tests.desk import ROOT

pytestmark = pytest.mark.lab
BEGIN = """
import signal, time, weakref
from knitter.tasks import way_out
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    """To its end, which must come before its sleep's."""
    argv = [sys.executable, "-c", BEGIN + program]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_interrupts(name: str) -> None:
    done = run(f"way_out.prepare()\nsignal.raise_signal(signal.{name})\ntime.sleep(60)")
    assert (done.returncode != 0, done.stderr) == (True, "interrupted\n")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_one_that_comes_while_python_drops_exceptions_is_not_lost(name: str) -> None:
    """As in the callbacks of an import."""
    done = run(f"""
class Thing: pass
thing = Thing()
watch = weakref.ref(thing, lambda _: signal.raise_signal(signal.{name}))
way_out.prepare()
del thing
time.sleep(60)
""")
    assert (done.returncode != 0, done.stderr) == (True, "interrupted\n")


def test_what_nohup_ignores_is_ignored() -> None:
    done = run("""
signal.signal(signal.SIGHUP, signal.SIG_IGN)
way_out.prepare()
signal.raise_signal(signal.SIGHUP)
print("on")
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "on\n", "")

"""The doit reporter.

doit 0.37 calls `execute_task` from the thread that does the task, everything else from the main thread.  Nothing is
printed while the lock is held: the live table takes its own locks and asks for the running stages.
"""

import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Final, TextIO

from doit.exceptions import BaseFail, UnmetDependency
from doit.task import Task

from knitter import progress
from knitter.errors import KnitterError
from knitter.progress import Progress
from knitter.report.display import display_on
from knitter.report.error import explain, near, render
from knitter.report.farewell import Product, farewell, several, up_to_date
from knitter.report.look import look_of, write
from knitter.report.run import Finished, Running, finished
from knitter.report.summary import end_line, not_reached, table, total

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells count."""


def how_called(argv: Sequence[str] = sys.argv) -> str:
    """What the user types to call doit: `doit`, or the path if the shell would not find it."""
    program = argv[0] if argv else ""
    return near(Path(program)) if Path(program).name == "doit" and shutil.which("doit") != program else "doit"


class Reporter:
    """Shows the stages of a run and, at the end, what came of it.  See knitter.report for what it expects of tasks."""

    desc = "knitter's: live on a terminal, plain lines elsewhere"

    def __init__(self, outstream: TextIO, options: Mapping[str, Any]) -> None:
        self._out = outstream
        self._err = sys.stderr if outstream is sys.stdout else outstream
        self._verbosity = options.get("failure_verbosity", 0)
        self._lock = Lock()
        self._running: dict[str, Running] = {}
        self._display = display_on(outstream, self._stages_at_work)
        self._stop_listening: Callable[[], None] = lambda: None
        self._began = time.monotonic()
        self._wanted: dict[str, int] = {}
        self._seen: set[str] = set()
        self._finished: list[Finished] = []
        self._up_to_date = 0
        self._built: list[Task] = []
        self._failures: list[tuple[str, KnitterError]] = []
        self._other_errors: list[str] = []

    def initialize(self, tasks: Mapping[str, Task], selected_tasks: Sequence[str]) -> None:
        """Before the first task."""
        wanted = [name for name in _closure(tasks, selected_tasks) if _is_stage(tasks[name])]
        self._wanted = {name: position for position, name in enumerate(wanted)}
        self._stop_listening = progress.listen(self._hear)

    def get_status(self, task: Task) -> None:
        """Before doit looks whether *task* must run."""

    def execute_task(self, task: Task) -> None:
        """*task* begins, in this thread."""
        if not _is_stage(task):
            return
        stage = Running(task.name, time.monotonic())
        with self._lock:
            self._running[task.name] = stage
        self._display.heard(stage, stage.started)

    def add_success(self, task: Task) -> None:
        """*task* ended well."""
        self._seen.add(task.name)
        if _farewell(task):
            self._built.append(task)
        if stage := self._taken(task):
            self._end(finished(stage, task.values, time.monotonic()))

    def add_failure(self, task: Task, fail: BaseFail) -> None:
        """*task* failed, or was not begun because another did."""
        if isinstance(fail, UnmetDependency) or not fail.report:
            return
        self._seen.add(task.name)
        name = task.name.removeprefix("_")  # of a hidden task: what doit does not list is no name to the user
        error = explain(fail, task=name, log=(task.meta or {}).get("log"), show_trace=self._verbosity > 0)
        self._failures.append((name, error))
        if stage := self._taken(task):
            self._end(Finished(task.name, time.monotonic() - stage.started, "failed", error.brief))

    def skip_uptodate(self, task: Task) -> None:
        """*task* need not run."""
        self._seen.add(task.name)
        self._up_to_date += _is_stage(task)
        if _farewell(task):
            self._built.append(task)

    def skip_ignore(self, task: Task) -> None:
        """*task* is left out because the user said `doit ignore`."""
        self._seen.add(task.name)
        self._display.print(f"{task.name} is ignored; doit forget {task.name} ends that")

    def cleanup_error(self, exception: BaseFail) -> None:
        """A teardown failed."""
        self._other_errors.append(exception.get_msg())

    def runtime_error(self, msg: str) -> None:
        """Doit could not go on."""
        self._other_errors.append(msg)

    def teardown_task(self, task: Task) -> None:
        """A teardown begins."""

    def complete_run(self) -> None:
        """After the last task, or after Ctrl-C."""
        self._stop_listening()
        self._display.close()
        # doit calls this in a `finally`, so what ends the run is the exception being handled.
        interrupted = isinstance(sys.exc_info()[1], KeyboardInterrupt)
        if not interrupted and (text := self._result(self._products())):
            write(self._out, text)
        look = look_of(self._err)
        errors = [render(error, look=look, where=name) for name, error in self._failures] + self._other_errors
        if interrupted:
            errors.append("interrupted; run the same command again to continue")
        if errors:
            self._out.flush()
            write(self._err, "\n".join(["", *errors] if self._failures and self._finished else errors))
        if interrupted:
            raise SystemExit(INTERRUPTED) from None

    def _hear(self, word: Progress) -> None:
        if word.stays:
            self._display.print(word.text)
            return
        now = time.monotonic()
        with self._lock:
            if (before := self._running.get(word.task)) is None:
                return
            stage = self._running[word.task] = before.hear(word, now)
        self._display.heard(stage, now)

    def _stages_at_work(self) -> list[Running]:
        with self._lock:
            return list(self._running.values())

    def _taken(self, task: Task) -> Running | None:
        with self._lock:
            return self._running.pop(task.name, None)

    def _end(self, stage: Finished) -> None:
        if stage.result == "up to date":
            self._up_to_date += 1
            return
        self._finished.append(stage)
        width = max(map(len, self._wanted), default=0)
        self._display.print(end_line(stage, look=look_of(self._out), name_width=min(width, 40)))

    def _products(self) -> list[Product]:
        products = []
        for task in self._built:
            try:
                products.append(_farewell(task)())
            except KnitterError as error:
                self._failures.append((task.name, error))
        return sorted(products, key=lambda product: product.recipe)

    def _result(self, products: Sequence[Product]) -> str:
        """What goes to stdout at the end; empty if no stage was asked for."""
        look, seconds = look_of(self._out), time.monotonic() - self._began
        if not (self._finished or self._up_to_date or products):
            return ""
        if len(products) == 1 and self._finished and not self._failures:
            said = farewell(products[0], self._finished, seconds=seconds, look=look, doit=how_called())
            return f"\n{said}"
        if len(products) == 1 and not self._finished:
            return up_to_date(products[0], look=look)
        ran = sorted(self._finished, key=lambda stage: self._wanted.get(stage.task, -1))
        missed = [name for name in self._wanted if name not in self._seen] if self._failures else []
        end = [total(ran, current=self._up_to_date, seconds=seconds), not_reached(missed, look=look)]
        blocks = [table(ran, look=look), several(products, look=look), "\n".join(filter(None, end))]
        return ("\n" if ran else "") + "\n\n".join(filter(None, blocks))


def _closure(tasks: Mapping[str, Task], selected: Sequence[str]) -> dict[str, None]:
    """The names *selected* and all they depend on, first things first.  doit has put file_dep into task_dep by then."""
    found: dict[str, None] = {}

    def walk(name: str) -> None:
        if name not in found and name in tasks:
            for earlier in (*tasks[name].task_dep, *tasks[name].setup_tasks):
                walk(earlier)
            found[name] = None

    for name in selected:
        walk(name)
    return found


def _is_stage(task: Task) -> bool:
    return "log" in (task.meta or {})


def _farewell(task: Task) -> Any:
    return (task.meta or {}).get("farewell")

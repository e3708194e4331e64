"""What the user sees of a run.

The seam to tasks.py, all of it:

- `DOIT_CONFIG = {"reporter": Reporter, ...}`; the class, so `doit -r json` still chooses another.
- An action that may raise KnitterError is wrapped: `"actions": [refusing(action)]`.
- A stage's task carries `"meta": {"log": path of its log}`: it is shown while it runs and counted at the end.  Its
  action returns `{"action": "made" | "adopted" | "kept", "reason": "disk.size changed", ...}`.
- A `build:<recipe>` task carries `"meta": {"farewell": function}`, which returns the Product for the last words.  It is
  called once, at the end, and only if the task succeeded.
- Any other task (`doit lab`, `doit schema`) prints for itself; of it the reporter shows only a failure, on stderr, so
  `eval "$(doit lab)"` reads nothing else.
- What runs while dodo.py loads is inside `with loading():`; a generator of tasks is decorated with `creating`.
- Bare `doit` prints `overview(rows, look=look_of(sys.stdout), doit=how_called())`.
"""

from knitter.report.error import creating, loading, refusing, render
from knitter.report.farewell import Product, farewell
from knitter.report.look import look_of
from knitter.report.overview import Row, StageState, overview
from knitter.report.reporter import Reporter, how_called

__all__ = [
    "Product",
    "Reporter",
    "Row",
    "StageState",
    "creating",
    "farewell",
    "how_called",
    "loading",
    "look_of",
    "overview",
    "refusing",
    "render",
]

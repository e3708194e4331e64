"""What a question to the account found, and how it is told."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from knitter.aws.explain import explained
from knitter.errors import KnitterError
from knitter.interrupt import Interrupted

State = Literal["ok", "note", "warning", "problem"]

UNKNOWN: Final = frozenset(
    {
        "InvalidAction",
        "UnknownOperationException",
        "UnsupportedOperation",
        "NotImplemented",
        "NoSuchResourceException",
        "404",
        "500",
        "501",
    }
)
"""What endpoints answer to a question they do not know: no fault of the user's."""
FORBIDDEN: Final = frozenset({"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer."""

    state: State
    """ok; a note, such as what could not be asked; a warning; a problem: the run would fail."""
    about: str
    """What was looked at: `subnet subnet-0a1b`."""
    text: str
    hint: str = ""
    """What to do, with the name of the setting."""

    @property
    def line(self) -> str:
        """For people: `subnet subnet-0a1b: does not exist (correct surrogate_subnets in .doit.cfg)`."""
        return f"{self.about}: {self.text}{f' ({self.hint})' if self.hint else ''}"


def ok(about: str, text: str) -> Finding:
    """All is well."""
    return Finding("ok", about, text)


def note(about: str, text: str) -> Finding:
    """Good to know, or not asked."""
    return Finding("note", about, text)


def warning(about: str, text: str, hint: str = "") -> Finding:
    """It will work, but perhaps not as expected."""
    return Finding("warning", about, text, hint)


def problem(about: str, text: str, hint: str = "") -> Finding:
    """It will not work."""
    return Finding("problem", about, text, hint)


def asked(about: str, ask: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What *ask* finds; a refusal is a finding too.  What must not be asked, or is not known, is a note."""
    try:
        with explained(about):
            return list(ask())
    except Interrupted:
        raise
    except KnitterError as error:
        why, code = _why(error, about), getattr(error, "code", "")
        if code in UNKNOWN:
            return [note(about, f"not asked: the endpoint does not know the question ({code})")]
        if code in FORBIDDEN:
            return [note(about, f"not asked: {why}; `doit iam-policy` prints the rights that are missing")]
        return [problem(about, why, error.hint)]


def _why(error: KnitterError, about: str) -> str:
    """What *error* says in one line, with the first of its details if that is more, such as where nobody answers."""
    why, first = error.brief.removeprefix(f"{about}: "), error.details.partition("\n")[0]
    return why if not first or first.rstrip(".") in why else f"{why}: {first}"


def is_problem(finding: Finding) -> bool:
    """Whether the run would fail."""
    return finding.state == "problem"


def require(findings: Iterable[Finding]) -> None:
    """Raise one KnitterError that tells all problems among *findings*, if there are any."""
    lines = [one.line for one in filter(is_problem, findings)]
    if lines:
        many = "one problem stands" if len(lines) == 1 else f"{len(lines)} problems stand"
        raise KnitterError(
            f"{many} in the way", details="\n".join(lines), hint="doit preflight asks again, and builds nothing"
        )

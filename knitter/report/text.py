"""Text in columns, and durations to read.  Pure."""

from collections.abc import Iterable, Sequence

from knitter.report.look import Look


def human_duration(seconds: float) -> str:
    """A duration to read: `6.2 s`, `1 min 20 s`, `2 h 05 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def clock(seconds: float) -> str:
    """A running time that does not jump about: `0:07`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def columns(rows: Iterable[Sequence[str]], *, look: Look, indent: int = 2, right: frozenset[int] = frozenset()) -> str:
    """Lines of *rows* in columns two apart, cut to the look's width; the columns in *right* end flush."""
    table = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = [c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append(look.fit(" " * indent + "  ".join(cells).rstrip(), look.width))
    return "\n".join(lines)


def indented(text: str, indent: int) -> str:
    """Each line of *text* moved to the right; empty lines stay empty."""
    return "\n".join(" " * indent + line if line.strip() else "" for line in text.splitlines())


def listing(names: Sequence[str], *, most: int) -> str:
    """`a, b, c`, at most so many, then how many more."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")

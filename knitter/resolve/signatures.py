"""Signatures of RPM files: each must be by a key of the lock.  The host's rpm checks them, in a private database."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from knitter.distro.redhat import rpm
from knitter.errors import KnitterError
from knitter.lock import Lock
from knitter.machine import tools
from knitter.machine.local import Local
from knitter.progress import say
from knitter.resolve.keys import texts
from knitter.resolve.place import Place


def verify(lock: Lock, place: Place) -> None:
    """Raise KnitterError, and remove them from the cache, if packages are not signed by the keys of *lock*."""
    tools.require(["rpmkeys"])
    say("verifying signatures")
    database = _database(lock, place)
    names = {place.cache.path(one.sha256).absolute(): f"{one.name} {one.version}" for one in lock.packages}
    parts = _parts(list(names), os.cpu_count() or 1)
    with ThreadPoolExecutor(len(parts), thread_name_prefix="rpmkeys") as pool:
        bad = [one for found in pool.map(lambda part: _check(part, database, place.log), parts) for one in found]
    for one in bad:
        one.path.unlink(missing_ok=True)
    if bad:
        raise _refused(bad, names)


def _database(lock: Lock, place: Place) -> Path:
    """A database that holds the keys of *lock* and nothing else."""
    database = place.directory / "rpmdb"
    if "%" in str(database):
        raise KnitterError(
            f"rpm cannot work below {place.directory}: a % in the path", hint="use another build_directory"
        )
    database.mkdir(parents=True, exist_ok=True)
    for key, text in zip(lock.keys, texts(lock.keys, place.cache), strict=True):
        file = place.directory / f"{key.fingerprint}.asc"
        file.write_text(text)
        done = Local().run(rpm.plan_import(file, database), log=place.log, check=False)
        if done.code or "error:" in done.stderr:  # it may say so and end with 0
            raise KnitterError(
                f"this host's rpm cannot use the key {key.fingerprint}",
                details=done.stderr,
                hint="its policy may refuse old algorithms; or name another key of the distribution",
            )
    return database


def _parts(files: list[Path], count: int) -> list[list[Path]]:
    """*files* in at most *count* parts, large and small ones in each."""
    ordered = sorted(files, key=lambda path: -path.stat().st_size)
    return [part for start in range(count) if (part := ordered[start::count])]


def _check(files: Sequence[Path], database: Path, log: Path) -> list[rpm.Finding]:
    done = Local().run(rpm.plan_check(files, database), log=log, check=False)
    found = rpm.findings(done.text, files)
    if done.code and not found:
        raise KnitterError("rpmkeys failed", details=done.stderr, hint=f"see {log}")
    return found


def _refused(bad: Sequence[rpm.Finding], names: dict[Path, str]) -> KnitterError:
    first, more = bad[0], len(bad) - 1
    others = f", and {more} more package{'s' * (more > 1)} " + ("are" if more > 1 else "is") + " bad" if more else ""
    return KnitterError(
        f"{names[first.path]} is refused: it {first.what}{others}",
        details="\n".join(f"{names[one.path]} {one.what}\n{one.details}" for one in bad),
        hint="it is not used.  Is packages.keys complete?  Else the mirror is broken or tampered with: use another",
    )

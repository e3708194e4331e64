"""What apt says when it refuses, in the user's words.  Pure."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from knitter.errors import KnitterError
from knitter.suggest import closest_of_many
from knitter.transport import REACH

_KEYRING: Final = "the keyring must hold the repository's key: set packages.keyring in the recipe, or update the host's"
_CHECK: Final = "check the name, release and repositories"
_TAMPERED: Final = (
    "the mirror is broken, behind, or tampered with: nothing of it is used; try again, or use another mirror"
)

_UNREACHABLE: Final = (
    r"Could not connect|Could not resolve|Temporary failure|Unable to connect|timed out|Connection failed|"
    r"[Pp]roxy|[Cc]ertificate|TLS|  5\d\d  "
)

# What apt prints, what it means, what to do.  The first that is found counts, so causes come before consequences.
_UPDATE: Final[tuple[tuple[str, str, str], ...]] = (
    (r"No space left on device", "cannot be read: no space left for its indices", "make room in the build directory"),
    (r"NO_PUBKEY (\w+)", "is signed with key {}, which the keyring does not have", _KEYRING),
    (r"Missing key (\w+),", "is signed with key {}, which the keyring does not have", _KEYRING),  # apt 3 with sqv
    (r"EXPKEYSIG (\w+)", "is signed with key {}, which has expired", _KEYRING),
    (r"REVKEYSIG (\w+)", "is signed with key {}, which was revoked", _KEYRING),
    (r"BADSIG (\w+)", "has a bad signature: its Release file is not what the owner of key {} signed", _TAMPERED),
    (r"NOSPLIT|NODATA", "has a Release file that is not whole", "does the network ask for a login, or need a proxy?"),
    (r"is expired \((invalid since [^)]*)\)", "has an expired Release file ({})", "its mirror is behind: use another"),
    (r"is not valid yet \((invalid for [^)]*)\)", "has a Release file from the future ({})", "check this host's clock"),
    (r"Hash Sum mismatch|unexpected size", "has an index that is not what its signed Release file says", _TAMPERED),
    (r"signatures? (?:were|was) invalid|signature verification failed", "has a bad signature", _TAMPERED),
    (_UNREACHABLE, "cannot be reached", REACH),
    (r"does not have a Release file", "is not there", "check release and repositories in the recipe"),
    (r"is not signed", "is not signed", "knitter uses signed repositories only"),
)
_SHOWN: Final = re.compile(r"^(?:[EW]|Err)[:\d]")


def refused_update(lines: Sequence[str]) -> KnitterError:
    """The error of `apt-get update` that printed *lines* on stderr."""
    text = "\n".join(lines)
    details = "\n".join(dict.fromkeys(line for line in lines if _SHOWN.match(line)))
    for pattern, meaning, hint in _UPDATE:
        for line in lines:
            if match := re.search(pattern, line):
                what = meaning.format(*match.groups())
                return KnitterError(f"the repository {_repository(line, text)} {what}", details=details, hint=hint)
    return KnitterError("apt cannot read the repositories", details=details or text)


def refused_resolve(stdout: str, lines: Sequence[str], *, names: Iterable[str], remove: Sequence[str]) -> KnitterError:
    """The error of `apt-get install` without *remove*, which printed *lines* on stderr.  names: all there are."""
    text = "\n".join(lines)
    details = "\n".join([*_unmet(stdout), *(line for line in lines if line.startswith("E:"))])
    if unknown := re.findall(r"Unable to locate package (\S+)", text):
        return KnitterError(
            f"no repository has {', '.join(unknown)}",
            details=details,
            hint=closest_of_many(unknown[0], names) or _CHECK,
        )
    if "Held packages were changed" in text:  # apt: it is wanted and not wanted
        brief = f"packages.remove = {', '.join(remove)}: an essential package cannot be left out"
        return KnitterError(brief, details=details, hint="other packages depend on essential ones without saying so")
    if absent := re.findall(r"Package '(\S+)' has no installation candidate", text):
        hint = "name one of the packages that provide it" if "is a virtual package" in stdout else _CHECK
        return KnitterError(f"{', '.join(absent)} cannot be installed by that name", details=details, hint=hint)
    return KnitterError(
        "the packages cannot be installed together", details=details, hint="change packages.install or packages.remove"
    )


def _repository(line: str, text: str) -> str:
    found = re.search(r"\w+://[^\s']+(?: \S+)?(?= (?:InRelease|Release))", line) or re.search(r"\w+://[^\s']+", line)
    found = found or re.search(r"\w+://[^\s']+", text)
    return found[0] if found else ""


def _unmet(stdout: str) -> list[str]:
    """The explanation: from `unmet dependencies` or `is a virtual package` on."""
    lines = stdout.splitlines()
    starts = [
        n for n, line in enumerate(lines) if re.search(r"unmet dependencies|virtual package|is not available", line)
    ]
    return [line for line in lines[starts[0] :] if line] if starts else []

"""Why packages cannot be resolved or trusted, in the user's words.  Pure."""

import re
from collections.abc import Sequence
from typing import Final

from knitter.distro.redhat.dnf import Answer
from knitter.errors import KnitterError
from knitter.recipe.redhat import RedhatPackages
from knitter.suggest import closest_of_many, nearest

_CHECK: Final = "check the name, release and repositories"
_TAMPERED: Final = (
    "the mirror is broken, behind, or tampered with: nothing of it is used; try again, or use another mirror"
)
_KEYS: Final = "packages.keys must name the repository's key"

# What gpgv says with --status-fd (doc/DETAILS of GnuPG), what it means, what to do.
_SIGNATURE: Final[tuple[tuple[str, str, str], ...]] = (
    (r"BADSIG (\w+)", "has a bad signature: its repomd.xml is not what the owner of key {} signed", _TAMPERED),
    (r"EXPKEYSIG (\w+)", "is signed with key {}, which has expired", _KEYS),
    (r"REVKEYSIG (\w+)", "is signed with key {}, which was revoked", _KEYS),
    (r"EXPSIG (\w+)", "has a signature by key {} that has expired", _TAMPERED),
    (r"NO_PUBKEY (\w+)", "is signed with key {}, which packages.keys does not name", _KEYS),
    (r"NODATA|UNEXPECTED", "has a repomd.xml.asc that is no signature", _TAMPERED),
)


def refused_signature(repository: str, status: str) -> KnitterError | None:
    """The error of gpgv that printed *status* on the metadata of *repository*; None if the signature is good."""
    for pattern, meaning, hint in _SIGNATURE:
        if match := re.search(rf"^\[GNUPG:\] (?:{pattern})", status, re.MULTILINE):
            return KnitterError(
                f"the repository {repository} {meaning.format(*match.groups())}", details=status, hint=hint
            )
    if re.search(r"^\[GNUPG:\] GOODSIG ", status, re.MULTILINE):
        return None
    return KnitterError(f"the repository {repository} has a bad signature", details=status, hint=_TAMPERED)


def refused_index(repository: str, url: str, reason: str) -> KnitterError:
    """The error of a repomd.xml, or a list of mirrors, at *url*."""
    return KnitterError(
        f"the repository {repository} cannot be used: {reason}",
        details=url,
        hint="does the network ask for a login, or need a proxy?  Is the URL in the recipe a repository's?",
    )


def refused_hash(repository: str, base: str) -> KnitterError:
    """The error of a repomd.xml that is not the one its Metalink speaks of."""
    return KnitterError(
        f"the repository {repository} has a repomd.xml that is not what its Metalink says", details=base, hint=_TAMPERED
    )


def refused_mirrors(repository: str, errors: Sequence[tuple[str, KnitterError]]) -> KnitterError:
    """The error of a repository none of whose mirrors can be used."""
    if len(errors) == 1:
        return errors[0][1]
    details = "\n".join(f"{base}: {error.brief}" for base, error in errors)
    return KnitterError(f"no mirror of {repository} can be used", details=details, hint=errors[0][1].hint)


def refused(answer: Answer, wanted: RedhatPackages) -> KnitterError:
    """The error of an answer (see `solve`) that is no list of packages."""
    match answer["kind"]:
        case "groups":
            return _groups(answer)
        case "members":
            groups = answer["missing"]
            return KnitterError(
                f"no repository has some mandatory members of {', '.join(groups)}",
                details="\n".join(f"{name}: {', '.join(members)}" for name, members in groups.items()),
                hint="add the repository that has them, or name them in packages.remove to do without",
            )
        case "names":
            return _names(answer)
        case "unreadable":
            return refused_index(answer["repository"], answer["problem"], "dnf cannot read its metadata")
        case _:
            return _unsolved(answer["problems"], wanted)


def _groups(answer: Answer) -> KnitterError:
    unknown = answer["unknown"]
    hint = nearest(unknown[0], answer["known"])
    if unknown[0] in answer["environments"]:
        members = ", ".join(f'"{name}"' for name in answer["environments"][unknown[0]])
        hint = f"that is an environment; name the groups of it: {members}"
    elif not answer["known"]:
        hint = "the repositories have no groups at all"
    return KnitterError(f"no repository has the group {', '.join(unknown)}", hint=hint)


def _names(answer: Answer) -> KnitterError:
    unknown, providers = answer["unknown"], answer["providers"]
    provided = [f"{name} is provided by {', '.join(providers[name])}" for name in unknown if providers[name]]
    hint = closest_of_many(unknown[0], answer["known"]) or _CHECK
    return KnitterError(
        f"no repository has {', '.join(unknown)}",
        details="\n".join(provided),
        hint="name one of the packages that provide it" if provided else hint,
    )


def _unsolved(problems: str, wanted: RedhatPackages) -> KnitterError:
    details = "\n".join(line.strip() for line in problems.splitlines() if line.strip())
    removed = [name for name in wanted.remove if re.search(rf"\b{re.escape(name)}-\S+ is filtered out", problems)]
    if removed:
        return KnitterError(
            f"packages.remove = {', '.join(removed)}: others need it",
            details=details,
            hint="remove those, too, or keep it",
        )
    return KnitterError(
        "the packages cannot be installed together",
        details=details,
        hint="change packages.install, groups or remove, or add the repository that has what is missing",
    )

"""What dnf is asked, and what it answers."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from knitter.distro.redhat import dnf, refusals
from knitter.lock import Package
from knitter.recipe.model import RedhatPackages

WANTED = RedhatPackages.model_validate(
    {
        "family": "redhat",
        "release": "9",
        "architecture": "arm64",
        "install": ("bash",),
        "remove": ("vim", "python3-dnf"),
        "keys": ({"file": "keys/k", "fingerprint": "0123456789" * 4},),
        "repositories": (
            {"id": "base", "url": "https://example.org/{release}/{arch}/os/"},
            {"id": "more", "metalink": "https://example.org/metalink?repo=more-{release}"},
        ),
    }
)
SOURCES = [dnf.Source("base", "p", "https://example.org/9/os", Path("/srv/a b/base"), datetime(2026, 1, 2, tzinfo=UTC))]
BASH = {
    "name": "bash", "epoch": 0, "version": "5.1.8", "release": "9.el9", "arch": "aarch64", "checksum": "sha256",
    "digest": "a" * 64, "size": 7, "location": "Packages/b/bash.rpm", "base": "", "repository": "base",
}  # fmt: skip


def test_places() -> None:
    assert [dnf.place_of(one, WANTED) for one in WANTED.repositories] == [
        "https://example.org/9/aarch64/os",
        "https://example.org/metalink?repo=more-9",
    ]


def test_request() -> None:
    asked = json.loads(dnf.request(WANTED, SOURCES, Path("/srv/dnf")))
    assert (asked["architecture"], asked["release"]) == ("aarch64", "9")
    assert asked["repositories"] == [{"id": "base", "url": "file:///srv/a%20b/base"}]


def test_program_is_sent_along() -> None:
    made = dnf.plan_solve("/usr/bin/python3", Path("/srv/request.json"))
    assert made.argv == ("/usr/bin/python3", "-I", "-", "/srv/request.json")
    assert b"import dnf" in made.stdin
    assert made.env["HOME"] == "/srv"


def test_packages() -> None:
    other = BASH | {"name": "Abc", "epoch": 2, "base": "https://elsewhere.example.org/x/"}
    found = dnf.parse_packages({"packages": [BASH, other]}, SOURCES)
    assert found[1] == Package(
        name="bash",
        version="5.1.8-9.el9",
        architecture="aarch64",
        sha256="a" * 64,
        size=7,
        url="https://example.org/9/os/Packages/b/bash.rpm",
    )
    assert found[0].version == "2:5.1.8-9.el9"
    assert found[0].url == "https://elsewhere.example.org/x/Packages/b/bash.rpm"


def test_package_without_sha256() -> None:
    with pytest.raises(ValueError, match="gives no SHA-256 for bash, but sha1"):
        dnf.parse_packages({"packages": [BASH | {"checksum": "sha1"}]}, SOURCES)


def test_interpreter() -> None:
    assert dnf.interpreter("#!/usr/bin/python3 -sP\nimport dnf\n") == "/usr/bin/python3"
    assert dnf.interpreter("#!/usr/libexec/platform-python\n") == "/usr/libexec/platform-python"
    for text in ("", "\x7fELF", "#! python"):
        with pytest.raises(ValueError, match="interpreter"):
            dnf.interpreter(text)


REFUSED = {
    "two groups": (
        {"kind": "groups", "unknown": ["cor", "x"], "known": ["core", "base"], "environments": {}},
        "no repository has the group cor, x",
        "did you mean 'core'?",
    ),
    "no groups": (
        {"kind": "groups", "unknown": ["core"], "known": [], "environments": {}},
        "no repository has the group core",
        "the repositories have no groups at all",
    ),
    "members": (
        {"kind": "members", "missing": {"core": ["a", "b"], "base": ["c"]}},
        "no repository has some mandatory members of core, base",
        "add the repository that has them, or name them in packages.remove to do without",
    ),
    "names": (
        {"kind": "names", "unknown": ["zzz"], "known": ["bash"], "providers": {"zzz": []}},
        "no repository has zzz",
        "check the name, release and repositories",
    ),
    "unreadable": (
        {"kind": "unreadable", "repository": "base", "problem": "oh"},
        "the repository base cannot be used: dnf cannot read its metadata",
        "does the network ask",
    ),
    "removed": (
        {
            "kind": "unsolved",
            "problems": "\n - package python3-dnf-4-1.noarch is filtered out by exclude filtering",
        },
        "packages.remove = python3-dnf: others need it",
        "remove those, too, or keep it",
    ),
    "unsolved": (
        {"kind": "unsolved", "problems": "nothing provides x"},
        "the packages cannot be installed together",
        "change packages.install",
    ),
}


@pytest.mark.parametrize(("answer", "brief", "hint"), REFUSED.values(), ids=REFUSED)
def test_refusals(answer: dnf.Answer, brief: str, hint: str) -> None:
    error = refusals.refused(answer, WANTED)
    assert error.brief == brief
    assert error.hint.startswith(hint)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            "BADSIG 0123456789ABCDEF me",
            "its repomd.xml is not what the owner of key 0123456789ABCDEF signed",
        ),
        ("EXPKEYSIG 0123456789ABCDEF me", "is signed with key 0123456789ABCDEF, which has expired"),
        ("REVKEYSIG 0123456789ABCDEF me", "was revoked"),
        ("EXPSIG 0123456789ABCDEF me", "has a signature by key 0123456789ABCDEF that has expired"),
        ("NO_PUBKEY 0123456789ABCDEF", "which packages.keys does not name"),
        ("NODATA 4", "is no signature"),
        ("SOMETHING new", "the repository base has a bad signature"),
    ],
)
def test_bad_signatures_of_metadata(status: str, words: str) -> None:
    error = refusals.refused_signature("base", f"[GNUPG:] NEWSIG\n[GNUPG:] {status}\n")
    assert error is not None
    assert words in error.brief
    assert error.hint


def test_good_signature_of_metadata() -> None:
    status = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 0123456789ABCDEF me\n[GNUPG:] VALIDSIG x\n"
    assert refusals.refused_signature("base", status) is None
    assert refusals.refused_signature("base", status + "[GNUPG:] BADSIG 0123456789ABCDEF me\n") is not None

"""rpmkeys: how it is called, and what it prints."""

from pathlib import Path

from knitter.distro.redhat import rpm

A, B = Path("/c/aaaa"), Path("/c/bbbb")
GOOD = """\
/c/aaaa:
    Header V4 RSA/SHA256 Signature, key ID 0e5e0fbd: OK
    Header SHA256 digest: OK
    Payload SHA256 digest: OK
    MD5 digest: OK
"""
OLD = """\
/c/aaaa:
    Header V3 RSA/SHA1 Signature, key ID c105b9de: OK
    Header SHA1 digest: OK
    V3 RSA/SHA1 Signature, key ID c105b9de: OK
    MD5 digest: OK
"""


def whats(printed: str, *files: Path) -> list[str]:
    return [one.what for one in rpm.findings(printed, files or (A,))]


def test_configuration_is_not_the_hosts() -> None:
    made = rpm.plan_check([A], Path("/private/rpmdb"))
    assert made.argv[:4] == (
        "rpmkeys",
        "--macros=/usr/lib/rpm/macros",
        "--rcfile=/usr/lib/rpm/rpmrc",
        "--define=_dbpath /private/rpmdb",
    )
    assert made.env == {"HOME": "/private/rpmdb"}


def test_good_ones() -> None:
    assert whats(GOOD) == []
    assert whats(OLD) == []
    assert whats(OLD + GOOD.replace("aaaa", "bbbb"), A, B) == []


def test_bad_ones() -> None:
    assert whats(GOOD.replace("Payload SHA256 digest: OK", "Payload SHA256 digest: BAD (Expected 1 != 2)")) == [
        "is not what was signed: its signature or a digest is bad"
    ]
    assert whats(GOOD.replace("0e5e0fbd: OK", "0e5e0fbd: BAD")) == [
        "is not what was signed: its signature or a digest is bad"
    ]


def test_strangers() -> None:
    assert whats(GOOD.replace("0e5e0fbd: OK", "0e5e0fbd: NOKEY")) == [
        "is signed with key 0E5E0FBD, which packages.keys does not name"
    ]


def test_unsigned_ones() -> None:
    unsigned = GOOD.replace("V4 RSA/SHA256 Signature, key ID 0e5e0fbd: OK", "RSA signature: NOTFOUND")
    assert whats(unsigned) == ["is not signed"]
    assert rpm.findings(unsigned, [A])[0].details.startswith("Header RSA signature: NOTFOUND\n")


def test_what_rpmkeys_says_nothing_of_is_bad() -> None:
    assert whats(GOOD, A, B) == ["is no RPM, or a broken one"]


def test_what_is_not_known_is_bad() -> None:
    assert whats(GOOD.replace("MD5 digest: OK", "MD5 digest: NOTTRUSTED")) == ["cannot be verified"]

"""What apt 2.6 says, and 3.0 where it differs, told in the user's words."""

import pytest

from knitter.distro.apt_refusals import refused_resolve, refused_update

REPOSITORY = "http://example.org/debian bookworm"


SIGNATURE = f"W: GPG error: {REPOSITORY} InRelease: The following signatures were invalid:"
FETCH = "E: Failed to fetch http://example.org/debian/dists/bookworm/"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            f"W: GPG error: {REPOSITORY} InRelease: The public key is not available: NO_PUBKEY 0E98404D386FA1D9",
            "is signed with key 0E98404D386FA1D9, which the keyring does not have",
        ),
        (
            f"W: OpenPGP signature verification failed: {REPOSITORY} InRelease: Missing key 0E98404D386FA1D9, which is",
            "is signed with key 0E98404D386FA1D9, which the keyring does not have",
        ),
        (f"{SIGNATURE} BADSIG 0E98404D386FA1D9 Someone", "has a bad signature"),
        (f"{SIGNATURE} EXPKEYSIG 0E98404D386FA1D9 Someone", "with key 0E98404D386FA1D9, which has expired"),
        (f"{SIGNATURE} REVKEYSIG 0E98404D386FA1D9 Someone", "with key 0E98404D386FA1D9, which was revoked"),
        (f"E: The repository '{REPOSITORY} InRelease' is not signed.", "is not signed"),
        (f"E: The repository '{REPOSITORY} Release' does not have a Release file.", "is not there"),
        (
            "E: Release file for http://example.org/debian/dists/bookworm/InRelease is expired (invalid since 2d 3s).",
            "has an expired Release file (invalid since 2d 3s)",
        ),
        (
            f"{FETCH}InRelease  Could not connect to example.org:80. - connect (111: Connection refused)",
            "cannot be reached",
        ),
        (f"{FETCH}InRelease  Could not resolve 'example.org'", "cannot be reached"),
        (f"{FETCH}InRelease  503  Down", "cannot be reached"),
        (f"{FETCH}main/Packages  Hash Sum mismatch", "has an index that is not what its signed Release file says"),
    ],
)
def test_update(line: str, words: str) -> None:
    error = refused_update(["Hit:1 something", line, "E: Some index files failed to download."])
    assert error.brief.startswith("the repository http://example.org/debian")
    assert words in error.brief
    assert line in error.details
    assert error.hint


def test_cause_comes_before_consequence() -> None:
    lines = [
        f"E: The repository '{REPOSITORY} InRelease' is not signed.",
        f"W: GPG error: {REPOSITORY} InRelease: NO_PUBKEY 0E98404D386FA1D9",
    ]
    assert "NO_PUBKEY" not in refused_update(lines).brief
    assert "0E98404D386FA1D9" in refused_update(lines).brief


def test_unknown_words_of_apt_are_shown_as_they_are() -> None:
    error = refused_update(["E: The moon is full"])
    assert error.brief == "apt cannot read the repositories"
    assert error.details == "E: The moon is full"


def test_misspelt_package_among_many() -> None:
    names = ["openssh-server", "openssh-client", "opensmtpd", "bash"]
    lines = ["E: Unable to locate package opensh-server"]
    error = refused_resolve("", lines, names=names, remove=[])
    assert error.brief == "no repository has opensh-server"
    assert error.hint.startswith("did you mean 'openssh-server'?")


def test_package_like_no_other() -> None:
    error = refused_resolve("", ["E: Unable to locate package zzz"], names=["bash"], remove=[])
    assert error.hint == "check the name, release and repositories"

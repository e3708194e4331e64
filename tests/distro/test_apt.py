"""apt's texts: those knitter writes, and those it reads."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from knitter.distro.apt import (
    Root,
    Source,
    config_text,
    parse_release_date,
    parse_sources,
    parse_uris,
    plan_defaults,
    plan_resolve,
)

ROOT = Root(Path("/private"))


def test_sources_of_mmdebstrap() -> None:
    lines = [
        "I: running --setup-hook in shell: sh -c 'cat \"$1\"/etc/apt/sources.list; exit 1'",
        'deb [signed-by="/usr/share/keyrings/some.gpg"] http://example.org/debian/ bookworm main contrib',
        "deb http://security.example.org/debian-security bookworm-security main",
        "deb-src http://example.org/debian bookworm main",
        "E: command failed",
    ]
    assert parse_sources(lines) == (
        Source("http://example.org/debian", "bookworm", ("main", "contrib")),
        Source("http://security.example.org/debian-security", "bookworm-security", ("main",)),
    )


def test_flat_repository_has_no_components() -> None:
    assert Source("http://example.org/x", "./", ("main",)).line("http://near/x") == "deb http://near/x ./"


@pytest.mark.parametrize(
    ("url", "suite", "name"),
    [
        ("http://example.org/debian", "bookworm", "example.org_debian_dists_bookworm_InRelease"),
        ("http://127.0.0.1:8080", "tiny", "127.0.0.1:8080_dists_tiny_InRelease"),
        ("http://example.org/a_b~c", "s", "example.org_a%5fb%7ec_dists_s_InRelease"),
        ("file:///srv/debian", "s", "_srv_debian_dists_s_InRelease"),
        ("http://example.org/x", "./", "example.org_x_._InRelease"),
    ],
)
def test_name_of_a_release_file(url: str, suite: str, name: str) -> None:
    assert ROOT.release_file(url, suite) == Path("/private/var/lib/apt/lists", name)


def test_armored_keys_are_told_from_binary_ones() -> None:
    assert ROOT.keyring(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n").suffix == ".asc"
    assert ROOT.keyring(b"\x98\x33\x04").suffix == ".gpg"


@pytest.mark.parametrize(
    "line",
    [
        'Dir "/private";',
        'APT::Architecture "arm64";',
        'APT::Install-Recommends "false";',
        'APT::Get::AllowUnauthenticated "false";',
        'Acquire::AllowInsecureRepositories "false";',
        'Acquire::AllowDowngradeToInsecureRepositories "false";',
        'Acquire::Check-Valid-Until "true";',
        'APT::Update::Error-Mode "any";',
    ],
)
def test_configuration_trusts_nothing_of_the_host(line: str) -> None:
    assert line in config_text(ROOT, architecture="arm64", recommends=False).splitlines()


def test_what_is_asked_of_apt() -> None:
    asked = plan_resolve(ROOT, install=["hello", "g++"], remove=["nano"])
    names = asked.argv[asked.argv.index("--") + 1 :]
    assert names == ("?essential", "?priority(required)?not(?exact-name(nano))", "apt", "hello", "g++", "nano-")
    assert asked.env == {"APT_CONFIG": "/private/apt.conf"}


def test_the_defaults_are_asked_for_without_root_and_without_the_hosts_configuration() -> None:
    asked = plan_defaults(Path("/scratch"), Path("/scratch/empty"), release="bookworm", architecture="amd64")
    assert "--mode=chrootless" in asked.argv
    assert asked.argv[-2:] == ("bookworm", "/dev/null")
    assert asked.env == {"APT_CONFIG": "/scratch/empty", "TMPDIR": "/scratch"}


def test_packages_that_apt_would_download() -> None:
    text = f"""\
Reading package lists...
The following NEW packages will be installed:
  base g++
'http://example.org/pool/g%2b%2b_12.2.0-3_amd64.deb' g++_4%3a12.2.0-3_amd64.deb 1356 SHA256:{"b" * 64}
'http://example.org/pool/base_1.0_all.deb' base_1.0_all.deb 7 SHA256:{"a" * 64}
"""
    found = parse_uris(text)
    assert [(one.name, one.version, one.architecture, one.size) for one in found] == [
        ("base", "1.0", "all", 7),
        ("g++", "4:12.2.0-3", "amd64", 1356),
    ]
    assert found[0].sha256 == "a" * 64
    assert found[1].url == "http://example.org/pool/g%2b%2b_12.2.0-3_amd64.deb"


@pytest.mark.parametrize("digest", ["MD5Sum:abc", ""])
def test_package_without_sha256_is_refused(digest: str) -> None:
    with pytest.raises(ValueError, match="no SHA256 for base"):
        parse_uris(f"'http://example.org/base.deb' base_1.0_all.deb 7 {digest}\n")


@pytest.mark.parametrize("zone", ["UTC", "+0000", "GMT"])
def test_date_of_a_release_file(zone: str) -> None:
    text = f"Origin: Debian\nDate: Sat, 21 Nov 2026 02:10:46 {zone}\nValid-Until: never\n"
    assert parse_release_date(text) == datetime(2026, 11, 21, 2, 10, 46, tzinfo=UTC)


@pytest.mark.parametrize("text", ["Origin: Debian\n", "Date: soon\n"])
def test_release_file_without_a_date(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_release_date(text)

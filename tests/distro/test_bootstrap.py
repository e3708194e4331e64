"""What is asked of mmdebstrap, and what is read from what it prints."""

from pathlib import Path

import pytest

from knitter.distro import bootstrap
from knitter.lock import Package

HELLO = Package(
    name="hello",
    version="2.10-3",
    architecture="amd64",
    sha256="ab" * 32,
    size=53000,
    url="http://example.org/debian/pool/hello_2.10-3_amd64.deb",
)


def test_every_package_is_named_and_nothing_else_is_a_source() -> None:
    other = HELLO.model_copy(update={"name": "adduser"})
    argv = bootstrap.bootstrap([HELLO, other], Path("/s/repository"), Path("/s/tree")).argv
    assert "--include=adduser,hello" in argv
    assert argv[-3:] == ("", "/s/tree", "deb [trusted=yes] copy:///s/repository ./")
    assert argv[:2] == ("unshare", "--net")


def test_a_path_with_a_space_is_written_as_a_url_needs_it() -> None:
    argv = bootstrap.bootstrap([HELLO], Path("/my images/repository"), Path("/my images/tree")).argv
    assert argv[-2:] == ("/my images/tree", "deb [trusted=yes] copy:///my%20images/repository ./")


def test_steps_are_those_that_mmdebstrap_announces() -> None:
    assert bootstrap.step("I: extracting archives...") == "extracting archives"
    assert bootstrap.step("Setting up libc6:amd64 (2.36-9) ...") == ""


def test_nothing_of_the_hosts_environment_comes_in() -> None:
    argv = bootstrap.bootstrap([HELLO], Path("/s/repository"), Path("/s/tree")).argv
    after = argv[argv.index("-i") + 1 : argv.index("mmdebstrap")]
    assert [one.partition("=")[0] for one in after] == ["HOME", "PATH", "TMPDIR"]


def test_files_are_copied_under_the_name_the_index_gives() -> None:
    command = bootstrap.fill_repository(Path("/s/repository"), {HELLO: Path("/cache/ab")})
    assert command.stdin == f"/cache/ab\n{bootstrap.file_name(HELLO)}\n".encode()


def test_the_index_says_what_each_file_hashes_to() -> None:
    index = f"Package: hello\nFilename: ./hello_1.deb\nSHA256: {'ab' * 32}\n\nFilename: ./b.deb\nSHA256: {'cd' * 32}\n"
    assert bootstrap.indexed(index) == {"hello_1.deb": "ab" * 32, "b.deb": "cd" * 32}


def test_only_what_is_configured_is_installed() -> None:
    listing = "hello 2.10-3 installed\nbroken 1 half-configured\nlibc6 2.36-9+deb12u14 installed"
    assert bootstrap.installed(listing) == {("hello", "2.10-3"), ("libc6", "2.36-9+deb12u14")}


@pytest.mark.parametrize(
    ("output", "package"),
    [
        ("dpkg: error processing package openssh-server (--configure):\n installed ... status 1", "openssh-server"),
        ("dpkg: error processing package libc6:amd64 (--configure):", "libc6"),
        ("dpkg: error processing archive /var/cache/apt/archives/hello_2.10-3_amd64.deb (--unpack):", "hello"),
        ("E: mmdebstrap failed to run", ""),
    ],
)
def test_the_package_that_failed_is_named(output: str, package: str) -> None:
    assert bootstrap.failed_package(output) == package

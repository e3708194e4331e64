"""What is asked of rpm to install a root, and what is read from what it prints."""

from pathlib import Path

import pytest

from knitter.distro.redhat import install, releases
from knitter.lock import Package

HELLO = Package(
    name="hello",
    version="1:2.10-3.el9",
    architecture="x86_64",
    sha256="ab" * 32,
    size=53000,
    url="http://example.org/os/Packages/hello-2.10-3.el9.x86_64.rpm",
)
TREE = Path("/s/tree")


def test_rpm_is_run_with_nothing_of_the_hosts_configuration() -> None:
    argv = install.install(TREE, epoch=7).argv
    assert argv[:2] == ("unshare", "--net")
    assert {f"HOME={install.WORK}", "SOURCE_DATE_EPOCH=7", f"--root={TREE}"} <= set(argv)
    assert {"--rcfile=/usr/lib/rpm/rpmrc", "--macros=/usr/lib/rpm/macros"} <= set(argv)
    assert f"--define=_dbpath {install.DATABASE}" in argv
    assert "exec env -i" in argv[argv.index("-euc") + 1]


def test_every_package_must_be_signed_and_its_dependencies_hold() -> None:
    argv = install.install(TREE, epoch=7).argv
    assert "--define=_pkgverify_level all" in argv
    assert not {"--nodeps", "--nosignature", "--nodigest", "--force", "--noscripts"} & set(argv)


def test_scriptlets_find_the_stubs_first() -> None:
    (path,) = [one for one in install.install(TREE, epoch=7).argv if "_install_script_path" in one]
    assert path.split()[1].startswith("/knitter/bin:/usr/local/sbin:")


def test_what_is_hashed_is_what_was_copied() -> None:
    filled = install.fill(TREE, {HELLO: Path("/cache/ab")})
    assert filled.stdin == f"/cache/ab\n{install.file_name(HELLO)}\n".encode()
    assert install.hashes(f"{'ab' * 32}  {install.file_name(HELLO)}\n") == {install.file_name(HELLO): "ab" * 32}


def test_only_a_release_with_systemd_gets_boot_placeholders() -> None:
    assert "etc/kernel/cmdline" in install.prepare(TREE, systemd=True).argv[2]
    assert "etc/kernel/cmdline" not in install.prepare(TREE, systemd=False).argv[2]


@pytest.mark.parametrize("release", ["7.9", "9", "10", "43", "2023"])
def test_systemd_came_with_el7(release: str) -> None:
    assert releases.has_systemd(release)
    assert not releases.has_systemd("6.9")
    assert not releases.has_systemd("5")


def test_a_database_that_the_images_rpm_reads_but_does_not_write_is_none() -> None:
    asked = install.adopt().argv[2]
    assert asked.index("rpm --eval '%{_db_backend}'") < asked.index("rpm -qa")


def test_keys_are_no_packages_and_no_epoch_is_epoch_0() -> None:
    listing = "hello 1:2.10-3.el9 x86_64\nworld (none):1-1 noarch\nzero 0:1-1 noarch\ngpg-pubkey (none):a2-b1 (none)\n"
    assert install.installed(listing) == {
        ("hello", "1:2.10-3.el9", "x86_64"),
        ("world", "1-1", "noarch"),
        ("zero", "1-1", "noarch"),
    }
    zero = HELLO.model_copy(update={"name": "zero", "version": "0:1-1", "architecture": "noarch"})
    assert install.locked([zero]) == {("zero", "1-1", "noarch")}


@pytest.mark.parametrize(
    ("line", "failed"),
    [
        ("warning: %post(hello-world-1-1.noarch) scriptlet failed, exit status 1", "%post of hello-world"),
        ("error: %prein(hello-1-1.noarch) scriptlet failed, exit status 1", "%prein of hello"),
        ("warning: %transfiletriggerin(glibc-common-2.34-1.x86_64) scriptlet failed, signal 11",
         "%transfiletriggerin of glibc-common"),
        ('error: lua script failed: [string "%post(hello-1-1.noarch)"]:1: boom', "%post of hello"),
        ("hello-1-1.noarch", ""),
        ("warning: /etc/hosts created as /etc/hosts.rpmnew", ""),
    ],
)  # fmt: skip
def test_a_scriptlet_that_failed_is_named(line: str, failed: str) -> None:
    assert install.failed_scriptlets([line, line]) == ([failed] if failed else [])


def test_the_package_that_failed_is_named() -> None:
    output = "error: lua script failed: ...\nerror: hello-world-2.10-3.el9.x86_64: install failed\n"
    assert install.failed_package(output) == "hello-world"
    assert install.failed_package("error: Failed dependencies:") == ""

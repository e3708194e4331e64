"""Commands in a tree: no network, no daemon left, nothing of the host's environment; errors that say which step."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from knitter.command import command
from knitter.distro import archive
from knitter.errors import CommandError, KnitterError
from knitter.machine.scratch import scratch
from knitter.progress import Progress, listen, say, task
from knitter.root.tree import Tree
from knitter.units import MIB
from tests.root.tiny import make_tree

pytestmark = pytest.mark.lab
EPOCH = 1700000000


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    """A tiny tree in memory."""
    source = tmp_path / "source"
    make_tree(source)
    with scratch("memory", tmp_path, need=100 * MIB) as (machine, place):
        made = Tree(machine, place, EPOCH, tmp_path / "log")
        made.run("copying", command("cp", "-a", source, made.path))
        yield made


def shell(tree: Tree, text: str) -> str:
    return tree.inside("a test", command("sh", "-euc", text))


def test_there_is_no_network_but_processes_and_devices(tree: Tree) -> None:
    assert shell(tree, "ls /sys") == ""
    assert len(shell(tree, "cat /proc/net/route").splitlines()) <= 1
    assert shell(tree, "cat /dev/null; ls /dev").split() == [
        *("fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero")
    ]


def test_nothing_of_the_hosts_environment_comes_in(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/secret")
    found = dict(line.partition("=")[::2] for line in shell(tree, "env").splitlines())
    assert {"DEBIAN_FRONTEND", "HOME", "LANG", "PATH", "SOURCE_DATE_EPOCH"} <= set(found)
    assert "PYTHONPATH" not in found
    assert found["SOURCE_DATE_EPOCH"] == str(EPOCH)


def test_a_daemon_does_not_outlive_its_script(tree: Tree) -> None:
    start = time.monotonic()
    shell(tree, "sleep 987654 < /dev/null > /dev/null 2>&1 &")
    assert time.monotonic() - start < 30
    assert subprocess.run(["pgrep", "-f", "^sleep 987654"], check=False).returncode == 1


def test_what_is_written_in_tmp_run_and_dev_is_gone(tree: Tree) -> None:
    shell(tree, "mkdir /tmp/a /run/b /dev/c /etc/kept")
    listing = tree.run("listing", command("sh", "-c", 'cd "$1"; ls dev run tmp etc proc', "sh", tree.path))
    assert listing.split() == ["dev:", "etc:", "kept", "proc:", "run:", "tmp:"]


def test_a_script_of_the_host_is_brought_in(tree: Tree, tmp_path: Path) -> None:
    script = tmp_path / "setup"
    script.write_text("#!/bin/sh\necho made by $0\n")
    assert tree.inside("setup", command("/run/script"), script=script) == "made by /run/script"


def test_a_failing_script_is_named_with_its_last_words(tree: Tree, tmp_path: Path) -> None:
    script = tmp_path / "setup"
    script.write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n")
    with pytest.raises(CommandError) as caught:
        tree.inside("scripts/setup", command("/run/script"), script=script)
    assert caught.value.brief == "scripts/setup failed with exit code 3"
    assert "no such luck" in caught.value.details
    assert str(tree.log) in caught.value.details
    assert caught.value.code == 3


def test_no_space_left_is_told_as_such(tree: Tree) -> None:
    with pytest.raises(KnitterError, match=r"filling: no space left"):
        tree.inside("filling", command("sh", "-c", "cat /dev/zero > /etc/full"))


def test_device_nodes_that_only_root_may_make_are_told_as_such(tree: Tree) -> None:
    """In the words of rpm 4.18, which an ordinary user gets for a package with such a file."""
    words = "error: unpacking of archive failed on file /dev/ppp;6b0d: cpio: mknod failed - Operation not permitted"
    with pytest.raises(KnitterError, match=r"installing: a package holds device nodes") as caught:
        tree.inside("installing", command("sh", "-c", f"echo '{words}' >&2; exit 1"))
    assert caught.value.hint == "run doit as root for this recipe"


def test_lines_are_followed_on_behalf_of_the_stage(tree: Tree) -> None:
    words: list[Progress] = []
    stop = listen(words.append)
    try:
        with task("rootfs:tiny"):
            tree.run("talking", command("sh", "-c", "echo one >&2; echo two >&2"), on_line=say)
    finally:
        stop()
    assert [(word.task, word.text) for word in words] == [("rootfs:tiny", "one"), ("rootfs:tiny", "two")]


def test_the_same_tree_packs_to_the_same_bytes_whenever_and_in_whatever_order(tree: Tree, tmp_path: Path) -> None:
    shell(tree, "cd /etc; for name in a b c; do echo $name > $name; done")
    tree.run("packing", archive.pack(tree.path, tmp_path / "1.tar", epoch=EPOCH))
    shell(tree, "cd /etc; rm a b c; for name in c b a; do echo $name > $name; done; cat a > /dev/null")
    tree.run("packing", archive.pack(tree.path, tmp_path / "2.tar", epoch=EPOCH))
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


_ATTRIBUTES = """
cd "$1"
setcap cap_net_raw+ep usr/bin/cat
setfacl -m u:1234:r-x,g:56:rwx etc
setfacl -m d:u:1234:rwx etc
chown 12:34 usr/bin/ls
chmod 4755 usr/bin/ls
ln usr/bin/cat usr/bin/hard
touch -d @1000000000.5 etc/old
touch -d @1900000000 etc/new
"""
_SHOW = """
cd "$1"
getcap usr/bin/cat
getfacl -n etc
stat -c '%n %u %g %a %h %y' usr/bin/ls usr/bin/cat etc/old etc/new
"""


def test_capabilities_acls_owners_links_and_times_survive(tree: Tree, tmp_path: Path) -> None:
    tree.run("changing", command("sh", "-euc", _ATTRIBUTES, "sh", tree.path))
    tree.run("packing", archive.pack(tree.path, tmp_path / "1.tar", epoch=EPOCH))
    copy = tree.place / "copy"
    tree.run("unpacking", command("mkdir", copy))
    tree.run("unpacking", archive.unpack(tmp_path / "1.tar", copy))
    show = command("sh", "-euc", _SHOW, "sh")
    shown = tree.run("showing", command(*show.argv, copy))
    assert "cap_net_raw=ep" in shown
    assert "user:1234:r-x" in shown
    assert "default:user:1234:rwx" in shown
    assert "usr/bin/ls 12 34 4755" in shown
    assert "usr/bin/cat 0 0 755 2" in shown
    assert "etc/old 0 0 664 1 2001-09-09 01:46:40.5" in shown
    assert "etc/new 0 0 664 1 2023-11-14 22:13:20.0" in shown
    tree.run("packing", archive.pack(copy, tmp_path / "2.tar", epoch=EPOCH))
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


def test_an_overlay_keeps_directories_and_links_as_they_are(tree: Tree, tmp_path: Path) -> None:
    source = tmp_path / "files"
    (source / "bin").mkdir(parents=True)
    (source / "bin/new").write_text("#!/bin/sh\n")
    (source / "etc").mkdir()
    (source / "etc/motd").write_text("hello\n")
    tree.run("changing", command("chmod", "0711", tree.path / "etc"))
    tree.run("packing", archive.pack(source, tmp_path / "overlay.tar", epoch=EPOCH))
    tree.run("overlay", archive.lay_over(tmp_path / "overlay.tar", tree.path))
    script = 'cd "$1"; readlink bin; ls usr/bin/new; stat -c %a etc; cat etc/motd'
    shown = tree.run("showing", command("sh", "-euc", script, "sh", tree.path))
    assert shown.split() == ["usr/bin", "usr/bin/new", "711", "hello"]

"""The overlay: what counts of `files/`, and how it is packed."""

import os
import tarfile
from pathlib import Path

import pytest

from knitter.distro.overlay import digest, manifest, write_archive
from knitter.errors import KnitterError, RecipeError


@pytest.fixture
def files(tmp_path: Path) -> Path:
    root = tmp_path / "files"
    (root / "etc/empty").mkdir(parents=True)
    (root / "etc/motd").write_text("hello\n")
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/run").write_text("#!/bin/sh\n")
    (root / "usr/bin/run").chmod(0o700)
    (root / "etc/link").symlink_to("motd")
    (root / "etc/away").symlink_to("/usr/share")
    return root


def members(directory: Path, archive: Path) -> dict[str, tarfile.TarInfo]:
    write_archive(directory, archive, epoch=1700000000)
    with tarfile.open(archive) as opened:
        return {member.name: member for member in opened.getmembers()}


def test_no_folder_is_an_empty_overlay(tmp_path: Path) -> None:
    assert manifest(tmp_path / "files") == []


def test_owners_times_and_other_mode_bits_do_not_count(files: Path) -> None:
    before = manifest(files)
    (files / "etc/motd").chmod(0o640)
    os.utime(files / "etc/motd", (1, 1))
    assert manifest(files) == before


def test_content_execution_links_and_names_count(files: Path) -> None:
    seen = [manifest(files)]
    (files / "etc/motd").write_text("hullo\n")
    seen.append(manifest(files))
    (files / "etc/motd").chmod(0o755)
    seen.append(manifest(files))
    (files / "etc/link").unlink()
    (files / "etc/link").symlink_to("other")
    seen.append(manifest(files))
    (files / "etc/empty").rename(files / "etc/still-empty")
    seen.append(manifest(files))
    assert all(one != other for index, one in enumerate(seen) for other in seen[:index])


def test_all_is_roots_with_default_modes_and_the_epochs_time(files: Path, tmp_path: Path) -> None:
    (files / "etc/empty").chmod(0o700)
    (files / "etc/motd").chmod(0o600)
    found = members(files, tmp_path / "a.tar")
    assert {member.uid for member in found.values()} == {member.gid for member in found.values()} == {0}
    assert {member.mtime for member in found.values()} == {1700000000}
    modes = {name: found[name].mode for name in ("etc", "etc/empty", "etc/motd", "usr/bin/run")}
    assert modes == {"etc": 0o755, "etc/empty": 0o755, "etc/motd": 0o644, "usr/bin/run": 0o755}
    assert (found["etc/link"].linkname, found["etc/away"].linkname) == ("motd", "/usr/share")


def test_the_same_overlay_packs_to_the_same_bytes(files: Path, tmp_path: Path) -> None:
    members(files, tmp_path / "a.tar")
    os.utime(files / "etc/motd", (1, 1))
    members(files, tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_hard_links_are_files_of_their_own(files: Path, tmp_path: Path) -> None:
    os.link(files / "etc/motd", files / "etc/issue")
    found = members(files, tmp_path / "a.tar")
    assert found["etc/motd"].isreg()
    assert found["etc/issue"].isreg()
    assert found["etc/motd"].size == found["etc/issue"].size == 6


def test_pipes_and_devices_are_refused(files: Path) -> None:
    os.mkfifo(files / "etc/pipe")
    with pytest.raises(RecipeError, match="etc/pipe is neither file, directory nor link"):
        manifest(files)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(KnitterError, match="setup cannot be read"):
        digest(tmp_path / "setup")

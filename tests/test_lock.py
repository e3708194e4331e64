"""packages.lock: text to value and back."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from knitter.errors import KnitterError
from knitter.lock import Key, Package, Repository, parse, read

TEXT = f"""\
# packages.lock of knitter; a copy in the recipe's folder pins it
format 1
distribution debian bookworm x86_64
repository https://example.org/debian bookworm 2026-11-15T09:31:27Z
repository https://example.org/security bookworm-security 2026-11-16T00:00:00Z
package adduser 3.134 all sha256:{"a" * 64} 116364 https://example.org/debian/pool/adduser_3.134_all.deb
package bash 1:5.2~rc1 amd64 sha256:{"b" * 64} 7 https://example.org/debian/pool/bash_5.2~rc1_amd64.deb
"""


def test_text_is_stable() -> None:
    found = parse(TEXT, "here")
    assert found.text() == TEXT
    backwards = found.model_copy(update={"packages": found.packages[::-1]})
    assert backwards.text() == TEXT


def test_values() -> None:
    found = parse(TEXT, "here")
    assert (found.family, found.release, found.architecture) == ("debian", "bookworm", "x86_64")
    assert found.packages[1] == Package(
        name="bash",
        version="1:5.2~rc1",
        architecture="amd64",
        sha256="b" * 64,
        size=7,
        url="https://example.org/debian/pool/bash_5.2~rc1_amd64.deb",
    )
    assert found.epoch == int(datetime(2026, 11, 16, tzinfo=UTC).timestamp())


def test_comments_and_empty_lines_are_nothing() -> None:
    assert parse(f"# mine\n\n{TEXT}\n", "here") == parse(TEXT, "here")


def test_dates_of_repositories_do_not_make_other_packages() -> None:
    one = parse(TEXT, "here")
    later = Repository(url="https://example.org/debian", suite="bookworm", date=datetime(2027, 1, 1, tzinfo=UTC))
    assert one.same_packages(one.model_copy(update={"repositories": (later, one.repositories[1])}))
    assert not one.same_packages(one.model_copy(update={"repositories": (later,)}))


def test_another_mirror_does_not_make_other_packages() -> None:
    one = parse(TEXT, "here")
    elsewhere = one.packages[0].model_copy(update={"url": "https://mirror.example.org/adduser.deb"})
    assert one.same_packages(one.model_copy(update={"packages": (elsewhere, one.packages[1])}))


def test_keys() -> None:
    text = TEXT.replace("package adduser", f"key {'A' * 40} sha256:{'e' * 64} 1802\npackage adduser")
    found = parse(text, "here")
    assert found.keys == (Key(fingerprint="A" * 40, sha256="e" * 64, size=1802),)
    assert found.text() == text
    assert not found.same_packages(parse(TEXT, "here"))


@pytest.mark.parametrize("field", ["version", "sha256", "size"])
def test_any_change_of_a_package_makes_other_packages(field: str) -> None:
    one = parse(TEXT, "here")
    changed = one.packages[0].model_copy(update={field: 5 if field == "size" else "c" * 64})
    assert not one.same_packages(one.model_copy(update={"packages": (changed, one.packages[1])}))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("format 1", "format 2", "line 2: format 2, but this knitter reads 1"),
        ("package adduser", "packet adduser", "line 6: not a line of a lock"),
        (f"sha256:{'a' * 64}", "md5:abc", "line 6: not a sha256"),
        (f"sha256:{'a' * 64}", f"sha256:../{'a' * 61}", "line 6: not a sha256"),
        (" 116364 ", " many ", "line 6: "),
        (" 116364 ", " ", "line 6: "),
        ("2026-11-15T09:31:27Z", "yesterday", "line 4: "),
        ("2026-11-15T09:31:27Z", "2026-11-15T09:31:27", "line 4: "),
        ("distribution debian bookworm x86_64\n", "", "it is not whole"),
        ("format 1\n", "", "it is not whole"),
        ("package bash", "package adduser", "adduser is there twice"),
    ],
)
def test_text_that_is_no_lock(old: str, new: str, words: str) -> None:
    assert old in TEXT
    with pytest.raises(KnitterError, match=r"here is not a packages.lock") as caught:
        parse(TEXT.replace(old, new), "here")
    assert words in caught.value.details


def test_cut_off_lock_is_refused() -> None:
    with pytest.raises(KnitterError):
        parse(TEXT[: TEXT.index("package adduser")], "here")


def test_lock_without_repositories_has_no_epoch() -> None:
    with pytest.raises(KnitterError, match=r"not a packages.lock"):
        parse("\n".join(line for line in TEXT.splitlines() if not line.startswith("repository")), "here")


def test_written_dates_are_utc() -> None:
    date = datetime.fromisoformat("2026-11-15T10:31:27+01:00")
    one = parse(TEXT, "here")
    moved = one.model_copy(update={"repositories": (Repository(url="u", suite="s", date=date),)})
    assert "repository u s 2026-11-15T09:31:27Z\n" in moved.text()


def test_read(tmp_path: Path) -> None:
    (tmp_path / "good").write_text(TEXT)
    assert read(tmp_path / "good").text() == TEXT
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name in ("binary", "missing"):
        with pytest.raises(KnitterError, match=f"cannot read {tmp_path / name}"):
            read(tmp_path / name)

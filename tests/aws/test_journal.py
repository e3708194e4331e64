"""The journal survives crashes at any byte."""

from pathlib import Path

from knitter.aws.journal import Journal


def _write(path: Path, snapshot: str, *indexes: int) -> None:
    with Journal(path, snapshot) as journal:
        for index in indexes:
            journal.add(index)


def test_what_was_added_is_there_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "a" / "journal"
    _write(path, "snap-1", 5, 7)
    _write(path, "snap-1", 9)
    with Journal(path, "snap-1") as journal:
        assert journal.blocks == {5, 7, 9}
        assert not journal.complete
        journal.add_complete()
    with Journal(path, "snap-1") as journal:
        assert journal.complete


def test_another_snapshot_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    _write(path, "snap-1", 5)
    with Journal(path, "snap-2") as journal:
        assert journal.blocks == frozenset()


def test_an_addition_is_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, "snap-1") as journal:
        journal.add(3)
        assert path.read_text() == "snap-1\n3\n"


def test_a_line_cut_off_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    _write(path, "snap-1", 5, 123)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with Journal(path, "snap-1") as journal:
            assert journal.blocks <= {5, 123}, size
        _write(path, "snap-1", 8)
        with Journal(path, "snap-1") as journal:
            assert journal.blocks <= {5, 123, 8}, size


def test_garbage_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b"snap-1\n5\n\xff\xfe\n")
    with Journal(path, "snap-1") as journal:
        assert journal.blocks == frozenset()


def test_a_volume_that_was_begun_is_remembered(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal", "vol-1") as journal:
        assert not journal.begun
        journal.add_begun()
        journal.add(3)
    with Journal(tmp_path / "journal", "vol-1") as again:
        assert again.begun
        assert again.blocks == {3}
    with Journal(tmp_path / "journal", "vol-2") as other:
        assert not other.begun

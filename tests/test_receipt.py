import threading
from pathlib import Path

import pytest

from knitter import receipt
from knitter.receipt import Receipt

ONE = Receipt(stage="disk", key="k", digest="d", inputs={"disk.size": "1"}, outputs={"disk.raw": 5}, facts={"id": "x"})


def test_a_receipt_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "disk.json"
    receipt.write(path, ONE)
    assert receipt.read(path) == ONE
    assert [entry.name for entry in path.parent.iterdir()] == ["disk.json"]


def test_the_same_receipt_is_the_same_bytes(tmp_path: Path) -> None:
    turned = ONE.model_copy(update={"inputs": dict(reversed([*ONE.inputs.items(), ("a", "b")]))})
    straight = ONE.model_copy(update={"inputs": dict([*ONE.inputs.items(), ("a", "b")])})
    receipt.write(tmp_path / "a", turned)
    receipt.write(tmp_path / "b", straight)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("content", ["", "{", '{"stage": "disk"}', "[]"], ids=["empty", "cut", "partial", "other"])
def test_what_is_no_whole_receipt_is_no_receipt(tmp_path: Path, content: str) -> None:
    (tmp_path / "disk.json").write_text(content)
    assert receipt.read(tmp_path / "disk.json") is None
    assert receipt.read(tmp_path / "none.json") is None


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x"
    receipt.write_atomically(path, b"old")
    with pytest.raises(TypeError):
        receipt.write_atomically(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


def test_a_file_is_moved_over_another_and_nothing_stays_open(tmp_path: Path) -> None:
    (tmp_path / "place").write_text("old")
    for text in ("first", "second"):
        (tmp_path / "new").write_text(text)
        receipt.move(tmp_path / "new", tmp_path / "place")
    for thread in set(threading.enumerate()) - {threading.current_thread()}:
        thread.join(5)
    assert (tmp_path / "place").read_text() == "second"
    assert not any("place" in descriptor.resolve().name for descriptor in Path("/proc/self/fd").iterdir())


def test_the_key_depends_on_stage_revision_and_inputs_and_not_on_order() -> None:
    key = receipt.key_of("disk", 1, {"a": "1", "b": "2"})
    assert key == receipt.key_of("disk", 1, {"b": "2", "a": "1"})
    others = [("boot", 1, {"a": "1", "b": "2"}), ("disk", 2, {"a": "1", "b": "2"}), ("disk", 1, {"a": "1", "b": "3"})]
    assert len({key, *(receipt.key_of(*other) for other in others)}) == 4

import pytest

from knitter.units import GIB, MIB, format_size, human_size, parse_duration, parse_size


@pytest.mark.parametrize(("text", "size"), [("8GiB", 8 * GIB), ("512 MiB", 512 * MIB), ("0B", 0), ("1TiB", 1024 * GIB)])
def test_a_size_is_read_and_written(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize("text", ["8", "8GB", "8 gib", "-1GiB", "1.5GiB", "", "GiB"])
def test_a_size_without_an_exact_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size such as 8GiB"):
        parse_size(text)


def test_sizes_to_read_are_rounded() -> None:
    assert [human_size(size) for size in (0, 512, 1536, 3 * GIB + GIB // 3)] == ["0 B", "512 B", "1.5 KiB", "3.3 GiB"]


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30min", 1800), ("24h", 86400), ("7d", 604800)])
def test_a_duration_is_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


def test_a_duration_without_a_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration("24")

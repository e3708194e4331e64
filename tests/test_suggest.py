"""The nearest right word."""

from knitter.suggest import closest, closest_of_many, nearest


def test_a_near_word_is_suggested() -> None:
    assert nearest("partitons", ["label", "partitions", "size"]) == "did you mean 'partitions'?"


def test_else_all_are_listed() -> None:
    assert nearest("xyz", ["size", "label"]) == "allowed: label, size"
    assert closest("xyz", ["size", "label"]) == ""


def test_a_long_list_is_cut() -> None:
    assert nearest("xyz", [f"recipe-{number}" for number in range(300)]).endswith("and 280 more")


def test_of_many_words_those_of_like_length_and_beginning_are_compared() -> None:
    assert closest_of_many("bahs", ["bash", "bash-completion"]) == "did you mean 'bash'?"
    assert closest_of_many("ash", ["bash"]) == ""

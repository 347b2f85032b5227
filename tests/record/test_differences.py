"""Differences of two values in words."""

from onnx_evoq.record.differences import differences


def test_each_difference_is_named_with_both_values() -> None:
    before = {"bits_for": {"conv*": 4, "fc": 2}, "max_drop": None, "seed": 0}
    now = {"bits_for": {"conv*": 5}, "max_drop": 2.0, "seed": 0}
    assert differences("options", before, now) == (
        "bits_for conv* was 4, and is 5; bits_for fc was 2, and is not given; max_drop was not "
        "given, and is 2.0"
    )


def test_no_more_than_three_are_named() -> None:
    said = differences("options", dict.fromkeys("abcde", 1), dict.fromkeys("abcde", 2))
    assert said == "a was 1, and is 2; b was 1, and is 2; c was 1, and is 2; and 2 more"


def test_a_hash_is_not_shown() -> None:
    said = differences("data", {"sha256": "a"}, {"sha256": "b"})
    assert said == "the data is another one by its content"


def test_values_are_told_in_words() -> None:
    assert differences("options", {"keep": []}, {"keep": ["a", "b"]}) == (
        "keep was not given, and is a, b"
    )
    assert differences("options", {"narrow": True}, {"narrow": False}) == (
        "narrow was on, and is off"
    )
    assert differences("options", {"policy": None}, {"policy": {"a": 4}}) == (
        "policy was not given, and is given"
    )
    long = differences("options", {"a": "x" * 99}, {"a": ""})
    assert long == f"a was {'x' * 57}..., and is "

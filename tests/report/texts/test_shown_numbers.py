"""Numbers of a page as text."""

import pytest
from shown_results import history

from onnx_evoq.report.texts.shown_numbers import (
    accuracy,
    duration,
    percent,
    plain,
    seconds_by_layer,
    signed,
    step_text,
    within,
)

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.98437, "98.4 %"),
        (1.0, "100 %"),
        (-0.05, f"{MINUS}5 %"),
        (None, "-"),
        (float("inf"), "-"),
        (12.345, "1,234 %"),
        (9.994, "999 %"),
        (1e-9, "< 0.0001 %"),
        (0.0, "0 %"),
    ],
)
def test_a_share_is_shown_in_percent(share: float | None, text: str) -> None:
    assert percent(share) == text


def test_a_top1_has_two_decimals() -> None:
    assert accuracy(0.9) == "90.00 %"


def test_an_interval_is_shown_with_its_unit() -> None:
    assert within(0.1, 0.2) == "(10\N{EN DASH}20 %)"
    assert within(1.5, 2.5, "") == "(1.5\N{EN DASH}2.5)"
    assert within(-0.01, 0.02, "points") == f"({MINUS}1.0 to +2.0 points)"
    assert within(None, 0.2) == within(0.1, None) == ""


@pytest.mark.parametrize(
    ("share", "text"), [(0.012, "+1.2"), (-0.012, f"{MINUS}1.2"), (0, "0.0"), (-0.0, "0.0")]
)
def test_points_have_a_sign(share: float, text: str) -> None:
    assert signed(share) == text


def test_a_number_that_is_not_known_is_a_dash() -> None:
    assert plain(None) == "-"
    assert plain(-0.12345) == f"{MINUS}0.123"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "0.25 s"), (599, "599 s"), (600, "10 min"), (7200, "2 h")]
)
def test_a_time_has_a_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_powers_of_two_are_shown_as_such() -> None:
    assert step_text([0.25]) == "2^-2"
    assert step_text([0.3, 2.0]) == "0.3\N{EN DASH}2^1"


def test_a_layer_takes_the_time_since_the_moment_before() -> None:
    assert seconds_by_layer(history()) == {"w1": 1.5, "w2": 3.5}
    assert seconds_by_layer([]) == {}

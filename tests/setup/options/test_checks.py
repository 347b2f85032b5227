"""Options out of range are refused with the remedy, and those at the bounds are taken."""

from typing import Any

import numpy as np
import pytest

from onnx_evoq.errors import OptionError
from onnx_evoq.setup import Grid, check_bits, check_choices, check_kinds, check_limits, check_seed

LIMITS = {"holdout": 0.25, "max_drop": None, "time_budget": None}


@pytest.mark.parametrize("bits", [2, 8])
def test_widths_from_2_to_8_are_taken(bits: int) -> None:
    check_bits(bits)


@pytest.mark.parametrize("bits", [1, 9])
def test_other_widths_are_refused(bits: int) -> None:
    with pytest.raises(OptionError, match=f"bits {bits} is out of range: choose from 2 to 8"):
        check_bits(bits)


def test_a_value_must_be_among_its_choices() -> None:
    check_choices(scale=("pow2", ("pow2", "float")))
    with pytest.raises(OptionError, match="scale 'pow3' is unknown: choose pow2 or float"):
        check_choices(size=("file", ("file",)), scale=("pow3", ("pow2", "float")))


def test_a_seed_is_0_or_more() -> None:
    check_seed(0)
    with pytest.raises(OptionError, match="seed -1 is negative: choose 0 or more"):
        check_seed(-1)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"holdout": 0.01},
        {"holdout": 0.99},
        {"max_drop": 0},
        {"max_drop": 100},
        {"time_budget": 0.1},
    ],
)
def test_limits_in_range_are_taken(given: dict[str, Any]) -> None:
    check_limits(**{**LIMITS, **given})


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"holdout": 0}, "holdout 0 is no share: choose one between 0 and 1"),
        ({"holdout": 1}, "holdout 1 is no share"),
        ({"holdout": "a"}, "holdout 'a' is no number"),
        ({"max_drop": -0.1}, "max_drop -0.1 is no percentage: choose from 0 to 100"),
        ({"max_drop": 101}, "max_drop 101 is no percentage"),
        ({"max_drop": "1"}, "max_drop '1' is no number"),
        ({"time_budget": 0}, "time_budget 0 is not positive: give seconds"),
        ({"time_budget": "90s"}, "time_budget '90s' is no number"),
    ],
)
def test_limits_out_of_range_are_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(OptionError, match=text):
        check_limits(**{**LIMITS, **given})


@pytest.mark.parametrize("value", [4.0, "4", None])
def test_widths_and_seeds_are_whole_numbers(value: Any) -> None:
    for check, name in ((check_bits, "bits"), (check_seed, "seed")):
        with pytest.raises(OptionError, match=f"{name} .* is no whole number"):
            check(value)
    check_bits(np.int64(4))


def test_a_value_of_another_class_is_refused() -> None:
    check_kinds(grid=(Grid(), Grid))
    with pytest.raises(OptionError, match=r"grid 'channel' is no Grid: give an onnx_evoq\.Grid"):
        check_kinds(grid=("channel", Grid))


def test_each_time_budget_is_called_by_its_name() -> None:
    with pytest.raises(OptionError, match="tune_budget '5s' is no number"):
        check_limits(holdout=0.25, tune_budget="5s")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="tune_budget 0 is not positive"):
        check_limits(holdout=0.25, time_budget=1.0, tune_budget=0)

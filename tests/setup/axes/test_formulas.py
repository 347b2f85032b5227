"""Sizes of axes as formulas."""

import pytest

from onnx_evoq.setup.axes.formulas import names_in, value_of

SIZES = {"past": 3, "new": 4, "p2o.Dynamic.0": 5}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("past + new", 7),
        ("past+new", 7),
        ("2*new - 1", 7),
        ("floor(past / 2)", 1),
        ("past // 2 + 1", 2),
        ("Max(past, new)", 4),
        ("p2o.Dynamic.0 + 1", 6),
        ("past + other", None),
        ("past", None),
        ("sequence length", None),
        ("past +", None),
        ("past[0] + 1", None),
        ("new / 0", None),
        ("open(past)", None),
    ],
)
def test_formulas_have_values_where_all_sizes_are_known(text: str, value: int | None) -> None:
    assert value_of(text, SIZES) == value


def test_a_formula_names_sizes_and_any_other_text_itself() -> None:
    assert names_in("past + floor(new / 2)") == {"past", "new"}
    assert names_in("sequence length") == {"sequence length"}

"""Values that JSON can hold."""

from onnx_evoq.report.results import json_values


def test_no_number_and_infinity_become_none_and_tuples_lists() -> None:
    values = {"a": float("nan"), "b": (1, float("inf")), "c": {"d": [(2.5,)]}}
    assert json_values(values) == {"a": None, "b": [1, None], "c": {"d": [[2.5]]}}

"""What each header says first."""

import re

from onnx_evoq.model import PRODUCTS
from onnx_evoq.model.c_header.declarations import OPERATORS, TITLE, TYPES


def test_each_operator_has_its_value_in_c() -> None:
    (values,) = re.findall(r"enum \{ (.*) \} evoq_operator", TYPES)
    assert values.split(", ") == list(OPERATORS.values())
    assert tuple(OPERATORS) == PRODUCTS


def test_the_comments_are_closed_and_fit_a_line() -> None:
    assert TITLE.count("/*") == TITLE.count("*/") == 1
    assert TYPES.count("/*") == TYPES.count("*/")
    assert max(len(line) for line in (TITLE + TYPES).splitlines()) <= 100

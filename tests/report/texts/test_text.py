"""Columns, numbers and sizes as text, within 80 characters."""

import pytest

from onnx_evoq.quantize import Bits
from onnx_evoq.report.texts.text import WIDTH, number, size, table, width_range

LONG = "encoder.layers.11.attention.self.query.projection.weight_quantizable_" * 2


def test_the_first_column_is_aligned_left_and_the_others_right() -> None:
    assert table(["name", "bits"], [["conv", "6"], ["a", "10"]]).splitlines() == [
        "name  bits",
        "conv     6",
        "a       10",
    ]


def test_more_columns_can_be_aligned_left() -> None:
    shown = table(["name", "op", "bits"], [["a", "Gemm", "6"], ["b", "If", "8"]], left=2)
    assert shown.splitlines() == ["name  op    bits", "a     Gemm     6", "b     If       8"]


def test_no_line_ends_in_blanks() -> None:
    lines = table(["a", "b"], [["x", "long"], ["y", ""]], left=2).splitlines()
    assert all(line == line.rstrip() for line in lines)


def test_a_table_may_have_no_rows() -> None:
    assert table(["name", "bits"], []) == "name  bits"


def test_a_long_first_column_is_shortened_to_80_columns() -> None:
    lines = table(
        ["name", "op", "bits"], [[LONG, "Conv", "6"], ["short", "Gemm", "4"]]
    ).splitlines()
    assert max(map(len, lines)) == WIDTH == 80
    assert ".." in lines[1]


def test_other_columns_are_never_shortened() -> None:
    line = table(["name", "value"], [[LONG, "0.123456789"]]).splitlines()[1]
    assert line.endswith("  0.123456789")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1250, "1.25 kB"),
        (12_345, "12.3 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),  # not 1e+03 kB
        (999_999, "1 MB"),
        (1_000_000, "1 MB"),
        (1_094_681, "1.09 MB"),
        (123_456_789, "123 MB"),
        (999_499_999, "999 MB"),
        (2_304_000_000, "2.3 GB"),
    ],
)
def test_a_size_has_three_digits_and_a_unit(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.123456, "0.1235"), (1234.5678, "1235"), (1e-7, "1e-07"), (-2.5, "-2.5")],
)
def test_a_number_has_four_significant_digits(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("bits", "text"), [(4, "4"), ((4, 4, 4), "4"), ((3, 2, 6, 4), "2-6"), ((8, 7), "7-8")]
)
def test_widths_of_channels_are_shown_from_the_narrowest_to_the_widest(
    bits: Bits, text: str
) -> None:
    assert width_range(bits) == text

"""How much of a model is quantized in which way, as text."""

from onnx_evoq.report.coverage_text import coverage_text
from onnx_evoq.report.results.coverage import Coverage, Uncovered


def test_shares_and_the_largest_others_fit_80_columns() -> None:
    largest = (
        Uncovered("embedding." * 9, 9000, "nearest", "rows that are looked up"),
        Uncovered("b", 1000, "float", "a bias " * 20),
        Uncovered("small", 10, "float", "too small to be named"),
    )
    lines = coverage_text(Coverage(90_000, 9000, 1010, largest)).splitlines()
    assert (
        lines[0]
        == "of 100 kB of floats 90.0 % in closed form, 9.0 % nearest only, 1.0 % stay float"
    )
    assert lines[1].split() == ["the", "others", "bytes", "why"]
    assert "nearest  9 kB   rows that are looked up" in lines[2]
    assert len(lines) == 3
    assert max(map(len, lines)) <= 80


def test_a_model_in_closed_form_needs_one_line() -> None:
    line = coverage_text(Coverage(1000, 0, 0))
    assert line == "of 1 kB of floats 100.0 % in closed form, 0.0 % nearest only, 0.0 % stay float"


def test_a_long_reason_goes_on_below_itself() -> None:
    largest = (Uncovered("b", 1000, "float", "input 3 of Attention: " + "no matrix, " * 6),)
    *_, first, last = coverage_text(Coverage(1000, 0, 1000, largest)).splitlines()
    start = first.index("input 3")
    assert f"{first[start:]} {last.strip()}" == largest[0].reason.strip()
    assert last.startswith(" " * start + "no")
    assert max(len(first), len(last)) <= 80

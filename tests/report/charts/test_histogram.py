"""A histogram of codes."""

from shown_results import Page

from onnx_evoq.report.charts.histogram import histogram, joined_bars


def test_each_code_that_is_used_has_a_bar() -> None:
    made = histogram({"low": -2, "counts": [0, 3, 0, 6], "nearest": [1, 2, 3, 4]})
    bars, outline = (path["d"] for path in Page(made).all("path"))
    assert bars.count("M") == 2
    assert "V0.0h" in bars  # the largest count takes all of the height
    assert "V40.0h" in bars  # and half of it half
    assert outline.count("H") == 4
    assert "2 of 4 codes are used, from -2 to 1" in made


def test_a_histogram_of_nothing_has_no_bar() -> None:
    made = histogram({"low": 0, "counts": [0, 0], "nearest": [0, 0]})
    assert Page(made).all("path")[0]["d"] == ""


def test_neighbouring_codes_share_a_bar_where_there_are_many() -> None:
    assert joined_bars([1] * 256) == [4] * 64
    assert joined_bars([1, 2, 3]) == [1, 2, 3]
    assert sum(joined_bars([1] * 255)) == 255

"""The charts of a page."""

import re
from typing import Any

import pytest
from shown_results import Page, history, point_values, search_values

from onnx_evoq.report.charts.line_charts import (
    convergence_chart,
    depth_chart,
    front_chart,
    sensitivity_chart,
    stages_chart,
)

ROWS: list[dict[str, Any]] = [
    {"weight": "w1", "nearest": 0.1, "start": 0.02, "evolved": 0.01},
    {"weight": "w2", "nearest": 0.3, "start": None, "evolved": 0.04},
]


@pytest.fixture(autouse=True)
def with_matplotlib() -> None:
    pytest.importorskip("matplotlib")


def words(svg: str | None) -> list[str]:
    """The texts of a chart."""
    assert svg is not None
    return [text for line in Page(svg).text.splitlines() if (text := line.strip())]


def test_depth_has_a_line_for_each_model() -> None:
    assert {"nearest", "start", "emitted", "10 %"} <= set(words(depth_chart(ROWS, "emitted")))


def test_a_start_that_is_the_result_has_no_line_of_its_own() -> None:
    rows = [{**row, "start": row["evolved"]} for row in ROWS]
    assert "start" not in words(depth_chart(rows))


def test_errors_of_zero_are_drawn_on_a_straight_axis() -> None:
    assert "0 %" in words(depth_chart([{**row, "evolved": 0.0} for row in ROWS]))


def test_a_deep_network_has_no_marks() -> None:
    marks = [str(depth_chart(ROWS * times)).count("<use") for times in (2, 40)]
    assert marks[1] < marks[0]


def test_without_layers_there_are_no_charts_of_them() -> None:
    assert depth_chart([]) is None
    assert sensitivity_chart([]) is None


def test_each_sensitivity_is_a_bar() -> None:
    one, three = (
        len(re.findall(r"fill: var\(--nearest\)", str(sensitivity_chart(rows))))
        for rows in ([(1, 0.1)], [(1, 0.1), (2, 0.2), (3, 0.05)])
    )
    assert three - one == 2


@pytest.mark.parametrize("against", ["seconds", "evaluations"])
def test_convergence_shows_the_stages_that_have_a_best_value(against: str) -> None:
    shown = words(convergence_chart(history(), "own.py:f1", against, "a"))
    assert "evolving" in shown
    assert "best f1" in shown
    assert "reconstruction" not in shown


def test_a_run_without_best_values_has_no_convergence() -> None:
    assert convergence_chart(history()[:2], "mse", "seconds", "a") is None
    assert convergence_chart(history()[:3], "mse", "evaluations", "a") is None


def test_values_below_zero_are_drawn() -> None:
    moments = [{**moment, "best": -moment["seconds"]} for moment in history()]
    assert convergence_chart(moments, "sqnr", "seconds", "a") is not None


def test_each_stage_has_a_bar() -> None:
    assert {"reconstruction", "evolving", "seconds"} <= set(words(stages_chart(history(), "a")))
    assert stages_chart([], "a") is None


def test_the_front_has_a_button_for_each_point() -> None:
    svg = front_chart(search_values(), 1)
    assert len(Page(svg).all("g", role="button")) == 3
    assert {"front", "one width for all layers", "by sensitivity alone"} <= set(words(svg))
    assert "kB (packed)" in words(svg)


def test_a_front_of_one_point_is_drawn_by_itself() -> None:
    point = point_values(2000, -3.0, {"w1": 2})
    values = search_values(front=[point], uniform=[], greedy=[], size="file", metric="sqnr")
    shown = words(front_chart(values, None))
    assert "kB (file)" in shown
    assert "one width for all layers" not in shown


def test_a_stage_that_comes_again_has_another_bar() -> None:
    moments = [{"stage": stage, "seconds": k} for k, stage in enumerate("aab", 1)]
    once, again = (
        str(stages_chart(each, "s")).count("fill: var(--evolved)")
        for each in (moments, [*moments, {"stage": "a", "seconds": 4}])
    )
    assert again == once + 1

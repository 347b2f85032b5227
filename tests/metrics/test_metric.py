"""Finding a metric by name, or a function of the user's."""

from pathlib import Path

import numpy as np
import pytest

from onnx_evoq.errors import MetricError
from onnx_evoq.metrics import METRIC_NAMES, find_metric

OUTPUTS = {"y": np.array([[1.0], [2.0]])}


def mean_output(outputs: dict, labels: np.ndarray | None) -> float:
    return float(outputs["y"].mean())


mean_output.higher_is_better = False  # type: ignore[attr-defined]


def test_fitness_is_smaller_for_the_better() -> None:
    for name in METRIC_NAMES:
        metric = find_metric(name)
        better, worse = (2.0, 1.0) if metric.higher_is_better else (1.0, 2.0)
        assert metric.fitness(better) < metric.fitness(worse)


@pytest.mark.parametrize("name", METRIC_NAMES)
def test_nan_is_the_worst(name: str) -> None:
    assert find_metric(name).fitness(float("nan")) == float("inf")


def test_a_function_is_a_metric() -> None:
    metric = find_metric(mean_output)
    assert (metric.name, metric.higher_is_better, metric.against) == ("mean_output", False, "user")
    assert metric.user_value(OUTPUTS, None) == 1.5


def test_a_function_is_found_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("def first(outputs, labels):\n    return outputs['y'][0, 0]\n")
    with file.open("a") as text:
        text.write("first.higher_is_better = True\n")
    metric = find_metric(f"{file}:first")
    assert metric.user_value(OUTPUTS, None) == 1.0


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(MetricError, match=r"unknown metric 'acuracy': choose auto, mse, .*top1"):
        find_metric("acuracy")


def test_a_function_must_say_which_way_is_better() -> None:
    def undecided(outputs: dict, labels: object) -> float:
        return 0.0

    with pytest.raises(MetricError, match=r"set undecided\.higher_is_better = True"):
        find_metric(undecided)


def failing(outputs: dict, labels: object) -> float:
    return float(outputs["nowhere"].mean())


def wordy(outputs: dict, labels: object) -> str:
    return "good"


failing.higher_is_better = wordy.higher_is_better = True  # type: ignore[attr-defined]


def test_a_function_that_raises_is_named_with_its_error() -> None:
    with pytest.raises(MetricError, match="'failing' failed: KeyError: 'nowhere'"):
        find_metric(failing).user_value(OUTPUTS, None)


def test_a_function_that_returns_no_number_is_named() -> None:
    with pytest.raises(MetricError, match="'wordy' returned str: return one number"):
        find_metric(wordy).user_value(OUTPUTS, None)

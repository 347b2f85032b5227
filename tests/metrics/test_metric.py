"""Metrics by name, and user's functions as metrics."""

from pathlib import Path

import numpy as np
import pytest

from onnx_evoq.errors import DataError, MetricError, ModelError
from onnx_evoq.metrics import METRIC_NAMES, find_metric, output_error, output_layouts
from onnx_evoq.metrics.output_layout import OutputLayout

OUTPUTS = {"y": np.array([[1.0], [2.0]])}
ALIKE = {"y": OutputLayout()}


def mean_output(outputs: dict, labels: np.ndarray | None) -> float:
    return float(outputs["y"].mean())


mean_output.higher_is_better = False  # type: ignore[attr-defined]


# Whether more is better, and what outputs are compared with.
KINDS = {
    "mse": (False, "reference"),
    "kl": (False, "reference"),
    "cosine": (True, "reference"),
    "sqnr": (True, "reference"),
    "nmse": (False, "reference"),
    "channel_nmse": (False, "reference"),
    "agreement": (True, "reference"),
    "top1": (True, "labels"),
    "top5": (True, "labels"),
    "cross_entropy": (False, "labels"),
}


def test_the_built_in_metrics_are_of_their_kinds() -> None:
    metrics = [find_metric(name) for name in METRIC_NAMES]
    assert {m.name: (m.higher_is_better, m.against) for m in metrics} == KINDS


def test_the_fitness_is_the_negative_value_if_more_is_better() -> None:
    assert find_metric("top1").fitness(0.75) == -0.75
    assert find_metric("mse").fitness(0.75) == 0.75


def test_the_value_of_a_fitness_has_that_fitness() -> None:
    assert find_metric("top1").value_of(-0.75) == 0.75
    assert find_metric("mse").value_of(0.75) == 0.75


@pytest.mark.parametrize("name", ["mse", "top1"])
def test_nan_has_the_worst_fitness(name: str) -> None:
    assert find_metric(name).fitness(float("nan")) == float("inf")


def test_a_metric_against_the_reference_compares_each_sample() -> None:
    reference = {"y": np.array([[1.0], [5.0]])}
    values = find_metric("mse").per_sample(OUTPUTS, reference, None, ALIKE)
    assert values.tolist() == [0.0, 9.0]


def test_a_metric_against_labels_reads_scores_as_logits_or_as_probabilities() -> None:
    scores, labels = {"y": np.array([[0.4], [0.6]])}, np.array([0, 1])
    top1 = find_metric("top1")
    assert top1.per_sample(
        scores, None, labels, {"y": OutputLayout(probabilities=True)}
    ).tolist() == [1.0, 1.0]
    assert top1.per_sample(scores, None, labels, ALIKE).tolist() == [0.0, 1.0]


def test_a_metric_against_labels_checks_that_they_are_classes_of_the_output() -> None:
    with pytest.raises(DataError, match="the model has 3 classes"):
        find_metric("top1").per_sample({"y": np.ones((1, 3))}, None, np.array([3]), ALIKE)


def test_infinite_outputs_give_no_warning() -> None:
    outputs, reference = {"y": np.array([[np.inf, 1e300]])}, {"y": np.array([[np.inf, -1e300]])}
    values = find_metric("mse").per_sample(outputs, reference, None, ALIKE)
    assert np.isnan(values).all()


def test_an_output_of_another_shape_than_its_reference_is_named() -> None:
    with pytest.raises(ModelError, match=r"output 'y' has shape \(1,\) instead of .* \(2,\)"):
        find_metric("mse").per_sample(OUTPUTS, {"y": np.ones((2, 2))}, None, ALIKE)


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


def test_a_function_that_exits_is_named_and_what_it_prints_goes_to_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def leaves(outputs: object, labels: object) -> float:
        print("leaving")
        raise SystemExit(3)

    leaves.higher_is_better = True  # type: ignore[attr-defined]
    with pytest.raises(MetricError, match="metric 'leaves' failed: SystemExit: 3"):
        find_metric(leaves).user_value({"y": np.zeros(1)}, None)
    assert capsys.readouterr() == ("", "leaving\n")


def error_of(feed: np.ndarray, **outputs: np.ndarray) -> str:
    """The metric for the error of these outputs of a model with one input."""
    return output_error(outputs, output_layouts([outputs], {}), {"x": feed}).name


def test_the_error_of_one_output_of_channels_that_are_alike_is_mse() -> None:
    y = np.random.default_rng(0).standard_normal((20, 3))
    assert error_of(np.zeros((20, 7)), y=y) == "mse"
    assert error_of(np.zeros((20, 7)), y=y, label=np.arange(20)) == "mse"


def test_the_error_of_channels_that_are_unlike_is_channel_nmse() -> None:
    y = np.random.default_rng(0).standard_normal((20, 3)) * [100, 100, 1]
    assert error_of(np.zeros((20, 7)), y=y) == "channel_nmse"


def test_the_error_of_what_has_the_shape_of_an_input_is_mse() -> None:
    y = np.random.default_rng(0).standard_normal((20, 3)) * [100, 100, 1]
    assert error_of(np.zeros((20, 3)), y=y) == "mse"
    assert error_of(np.zeros(3), y=y) == "mse"  # a feed without an axis of samples


def test_the_error_of_several_outputs_counts_each_of_them() -> None:
    y = np.random.default_rng(0).standard_normal((20, 3))
    assert error_of(np.zeros((20, 7)), y=y, z=y) == "channel_nmse"


def test_the_error_of_outputs_that_are_no_floats_is_disagreement() -> None:
    assert error_of(np.zeros((20, 7)), label=np.arange(20)) == "agreement"

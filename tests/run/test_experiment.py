"""What a search is scored on, and how far it may fall."""

from collections.abc import Callable

import numpy as np
import pytest
from graphs import mlp, model_of, node, random, run

from onnx_evoq.data import Data
from onnx_evoq.errors import DataError, MetricError, ModelError
from onnx_evoq.model import find_weights, load
from onnx_evoq.quantize import fit, nearest
from onnx_evoq.run import Experiment, Quantized, drop_guard, model_value, prepare
from onnx_evoq.run.subject import with_codes

X = random(40, 4, seed=3)
LABELS = np.random.default_rng(0).integers(0, 3, size=40)


def experiment(
    data: object = None, metric: str | Callable[..., float] = "auto", holdout: float | None = 0.25
) -> Experiment:
    given = Data({"x": X, "y": LABELS} if data is None else data)  # type: ignore[arg-type]
    return prepare(load(mlp()), "m.onnx", given, metric, holdout, np.random.default_rng(0))


def test_search_and_heldout_samples_are_disjoint_and_complete() -> None:
    ready = experiment()
    rows = [
        {tuple(row) for batch in part.batches for row in batch.feed["x"][: batch.count]}
        for part in (ready.search, ready.heldout)
    ]
    assert [len(part) for part in rows] == [30, 10]
    assert rows[0] | rows[1] == {tuple(row) for row in X}


def test_without_a_holdout_all_samples_score() -> None:
    ready = experiment(holdout=None)
    assert ready.search.samples == ready.heldout.samples == 40


def test_auto_is_the_output_error_whatever_the_labels() -> None:
    assert experiment().metric.name == "mse"


def test_auto_is_scale_free_where_there_are_several_outputs() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Relu", ["a"], ["b"])]
    outputs = {"a": ["n", 3], "b": ["n", 3]}
    model = load(model_of(nodes, {"x": ["n", 4]}, outputs, {"w": random(4, 3)}))
    ready = prepare(model, "m", Data(X), "auto", 0.25, np.random.default_rng(0))
    assert ready.metric.name == "sqnr"


def test_top1_stands_beside_where_labels_are_classes() -> None:
    assert experiment().top1 is not None
    assert experiment(X).top1 is None


def test_labels_out_of_range_are_a_mistake() -> None:
    with pytest.raises(DataError, match="labels range from 0 to 9, but the model has 3 classes"):
        experiment({"x": X, "y": np.arange(40) % 10})


def test_a_users_metric_may_read_any_labels() -> None:
    def own(outputs: dict, labels: np.ndarray) -> float:
        return float(labels.max())

    own.higher_is_better = True  # type: ignore[attr-defined]
    ready = experiment({"x": X, "y": np.arange(40)}, own)
    assert ready.top1 is None
    assert model_value(load(mlp()), ready.heldout) <= 39


def test_a_metric_that_is_nan_for_the_float_model_is_refused() -> None:
    def own(outputs: dict, labels: np.ndarray) -> float:
        return float("nan")

    own.higher_is_better = True  # type: ignore[attr-defined]
    with pytest.raises(MetricError, match="'own' returns NaN for the float model's outputs"):
        experiment(metric=own)


def test_a_float_model_that_answers_nan_is_refused() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Log", ["a"], ["y"])]
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, {"w": random(4, 3)}))
    with pytest.raises(ModelError, match=r"m\.onnx: output 'y' is NaN .*check the preprocessing"):
        prepare(model, "m.onnx", Data(X), "auto", 0.25, np.random.default_rng(0))


def test_a_model_without_inputs_is_refused() -> None:
    model = load(model_of([node("Relu", ["w"], ["y"])], {}, {"y": [3]}, {"w": random(3)}))
    with pytest.raises(ModelError, match="takes no inputs"):
        prepare(model, "m", Data(), "auto", 0.25, np.random.default_rng(0))


def rounded(bits: int) -> Quantized:
    weights, _ = find_weights(load(mlp()))
    grids = {w.name: fit(w.values, bits) for w in weights}
    return {w.name: (nearest(w.values, grids[w.name]), grids[w.name]) for w in weights}


def drop_of_top1(ready: Experiment, quantized: Quantized) -> float:
    assert ready.top1 is not None
    model = load(mlp())
    return 100 * (
        model_value(model, ready.top1[1]) - model_value(with_codes(model, quantized), ready.top1[1])
    )


def test_with_labels_the_drop_is_in_points_of_top1() -> None:
    answers = mlp_answers(X)
    ready = experiment({"x": X, "y": answers}, holdout=0.5)
    drop = drop_of_top1(ready, rounded(2))
    assert drop > 0
    assert not drop_guard(load(mlp()), ready, drop - 0.01)(rounded(2))
    assert drop_guard(load(mlp()), ready, drop)(rounded(2))
    assert drop_guard(load(mlp()), ready, 0)(rounded(8))


def test_without_labels_the_drop_is_the_share_of_answers_that_change() -> None:
    labelled = experiment({"x": X, "y": mlp_answers(X)}, holdout=0.5)
    drop = drop_of_top1(labelled, rounded(2))  # its labels are the float model's answers
    ready = experiment(X, holdout=0.5)
    assert not drop_guard(load(mlp()), ready, drop - 0.01)(rounded(2))
    assert drop_guard(load(mlp()), ready, drop)(rounded(2))


@pytest.mark.parametrize("higher", [True, False])
def test_with_a_users_metric_the_drop_is_relative(higher: bool) -> None:
    def own(outputs: dict, labels: np.ndarray) -> float:
        # 10 for the float model, whose answers are the labels; 20 percent worse for any other
        exact = np.array_equal(outputs["logits"].argmax(axis=1), labels)
        return 10.0 if exact else (8.0 if higher else 12.0)

    own.higher_is_better = higher  # type: ignore[attr-defined]
    ready = experiment({"x": X, "y": mlp_answers(X)}, own, holdout=0.5)
    assert not drop_guard(load(mlp()), ready, 19.9)(rounded(2))
    assert drop_guard(load(mlp()), ready, 20)(rounded(2))


def mlp_answers(x: np.ndarray) -> np.ndarray:
    return run(mlp(), {"x": x})["logits"].argmax(axis=1)

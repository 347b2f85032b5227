"""Nearest rounding or the reconstruction: few samples decide, or all of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from graphs import model_of, node, task_of

from onnx_evoq.model import as_network, load
from onnx_evoq.pipeline import start_or_nearest
from onnx_evoq.pipeline.start_or_nearest import _is_better, or_nearest
from onnx_evoq.quantize import QuantizedWeight
from onnx_evoq.quantize.grid import FixedPoint
from onnx_evoq.reconstruct.layer_by_layer import QuantizedModel, reconstruct_layers
from onnx_evoq.run import Stopped
from onnx_evoq.setup import Task


def no_use(*arguments: Any, **options: Any) -> Any:
    raise AssertionError


def chosen_between(
    inputs: Sequence[tuple[float, float]], metric: Any = "mse", size: int = 8
) -> tuple[Task, QuantizedModel, QuantizedModel]:
    """A task with these held-out samples, and two models for it.

    The model gives what it is given. Nearest rounding makes it (0.75 a, 0.5 b) of (a, b), and the
    reconstruction (0.5 a, 0.75 b).
    """
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    identity = np.eye(2, dtype=np.float32)
    model = load(model_of(nodes, {"x": ["n", 2]}, {"y": ["n", 2]}, {"w": identity}))
    heldout = np.array(inputs, np.float32)
    given = task_of(model, heldout[:8], heldout, size=size, metric=metric)
    grid = FixedPoint(4, np.asarray(0.25, np.float32))

    def scaled_by(*steps: int) -> QuantizedModel:
        codes = QuantizedWeight(np.diag(steps).astype(np.int8), grid)
        return QuantizedModel(as_network(model), {"w": codes}, {}, ())

    return given, scaled_by(3, 2), scaled_by(2, 3)


FOR_NEAREST, FOR_RECONSTRUCTION, FOR_NEITHER = (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)


@pytest.mark.parametrize("metric", ["mse", "sqnr"])
def test_of_few_samples_more_than_three_quarters_decide_for_the_reconstruction(
    metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All samples together are better with nearest rounding.
    inputs = [FOR_RECONSTRUCTION] * 25 + [FOR_NEAREST] * 40
    given, rounding, reconstruction = chosen_between(inputs, metric)
    values = [given.fitness(each.as_float) for each in (rounding, reconstruction)]
    assert values[0] < values[1]
    monkeypatch.setattr(Task, "fitness", no_use)
    assert not _is_better(given, rounding, reconstruction)


@pytest.mark.parametrize("metric", ["mse", "sqnr"])
@pytest.mark.parametrize(
    ("inputs", "better"),
    [
        ([FOR_RECONSTRUCTION] * 24 + [FOR_NEAREST] * 40, True),
        ([FOR_RECONSTRUCTION] * 24 + [FOR_NEAREST] * 8 + [FOR_RECONSTRUCTION] * 8, False),
        ([FOR_NEAREST] * 32 + [FOR_RECONSTRUCTION] * 33, False),
        ([FOR_NEAREST] * 32 + [FOR_RECONSTRUCTION] * 31, True),
    ],
)
def test_else_all_samples_decide(
    inputs: list[tuple[float, float]], better: bool, metric: str
) -> None:
    assert _is_better(*chosen_between(inputs, metric)) == better


def test_samples_that_are_as_good_with_both_do_not_count_for_the_reconstruction() -> None:
    inputs = [FOR_RECONSTRUCTION] * 24 + [FOR_NEITHER] * 8 + [FOR_NEAREST] * 32
    assert _is_better(*chosen_between(inputs))
    assert not _is_better(*chosen_between([FOR_NEITHER] * 32))  # nor for nearest rounding


@pytest.mark.parametrize(("first", "better"), [(31, True), (32, False)])
def test_fewer_samples_than_32_decide_together(first: int, better: bool) -> None:
    # One of them counts a hundred times as much as all others.
    inputs = [FOR_RECONSTRUCTION] * (first - 1) + [(100.0, 0.0)]
    assert _is_better(*chosen_between(inputs)) == better


@pytest.mark.parametrize("last", [FOR_RECONSTRUCTION, FOR_NEAREST])
def test_few_samples_are_whole_batches(last: tuple[float, float]) -> None:
    # Two batches of 20: of 40 samples 31 or 30 prefer the reconstruction.
    inputs = [FOR_RECONSTRUCTION] * 30 + [FOR_NEAREST] * 9 + [last] + [FOR_NEAREST] * 40
    better = last == FOR_NEAREST
    assert _is_better(*chosen_between(inputs, size=20)) == better


def test_a_metric_of_all_samples_together_is_asked_for_all_of_them() -> None:
    def largest(outputs: dict[str, Any], labels: None) -> float:
        return float(np.abs(outputs["y"][:, 0]).sum())  # nearest rounding keeps more of it

    largest.higher_is_better = True  # type: ignore[attr-defined]
    inputs = [FOR_RECONSTRUCTION] * 39 + [FOR_NEAREST]
    assert _is_better(*chosen_between(inputs, largest))
    largest.higher_is_better = False  # type: ignore[attr-defined]
    assert not _is_better(*chosen_between(inputs, largest))


def test_ctrl_c_keeps_the_reconstruction(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any) -> bool:
        raise KeyboardInterrupt

    given, _, _ = chosen_between([FOR_NEITHER] * 40)
    start = reconstruct_layers(given, np.random.default_rng(0))
    monkeypatch.setattr(start_or_nearest, "_is_better", interrupted)
    assert or_nearest(given, start) == (start, (), Stopped.INTERRUPT)

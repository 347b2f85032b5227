"""Activations as layers: their values by channel, in the float model."""

import numpy as np
import pytest
from graphs import model_of, node, random, task_of

from onnx_evoq.model import load
from onnx_evoq.quantize import ActivationGrid, ScaledLayer
from onnx_evoq.reconstruct.equalization.activation_layers import _some, activation_layers
from onnx_evoq.setup import Task

X = random(24, 3)
SIZES = np.array([1, 4, 16], np.float32)
CHANNELS = {"r": np.array([[0, 1, 2]]), "y": np.array([[-1]])}


def task(**options: object) -> Task:
    """x (n, 3) -> times 1, 4 and 16 -> Relu r -> MatMul -> y (n, 2)."""
    nodes = [
        node("MatMul", ["x", "w1"], ["a"]),
        node("Relu", ["a"], ["r"]),
        node("MatMul", ["r", "w2"], ["y"]),
    ]
    weights = {"w1": np.diag(SIZES), "w2": random(3, 2)}
    return task_of(load(model_of(nodes, {"x": ["n", 3]}, {"y": None}, weights)), X, X, **options)


def layers_of(given: Task, grid: ActivationGrid) -> dict[str, ScaledLayer]:
    grids = {"r": grid, "y": grid}
    return activation_layers(given, given.model, grids, CHANNELS, np.random.default_rng(0))


def test_rows_are_the_values_of_channels() -> None:
    found = layers_of(task(), ActivationGrid(1.0, 4, signed=False))
    assert found.keys() == {"r"}  # the channels of y stay
    layer = found["r"]
    expected = np.maximum(X * SIZES, 0).T
    np.testing.assert_allclose(np.sort(layer.weight[0]), np.sort(expected), rtol=1e-6)
    assert layer.rows.tolist() == [[0, 1, 2]]
    assert (layer.columns == -1).all()
    assert layer.bits == 5  # unsigned
    assert layer.power.sum() == pytest.approx(1)


@pytest.mark.parametrize(("bits", "share"), [(3, 1.0), (4, 1.0), (5, 0.1), (8, 0.1)])
def test_errors_of_few_codes_count_as_much_as_those_of_weights(bits: int, share: float) -> None:
    layer = layers_of(task(), ActivationGrid(1.0, bits, signed=True))["r"]
    assert layer.power.sum() == pytest.approx(share)
    assert layer.bits == bits


@pytest.mark.parametrize(("scale", "pow2"), [("pow2", True), ("float", False)])
def test_steps_are_of_the_kind_of_the_activations(scale: str, pow2: bool) -> None:
    given = task(scale="float" if pow2 else "pow2", activation_scale=scale)
    assert layers_of(given, ActivationGrid(1.0, 4, signed=False))["r"].pow2 is pow2


def test_an_activation_that_is_not_rounded_is_left_out() -> None:
    assert activation_layers(task(), task().model, {}, CHANNELS, np.random.default_rng(0)) == {}


def test_channels_lie_along_their_axis_and_many_values_are_drawn_from() -> None:
    values = np.broadcast_to(np.arange(5.0)[:, None], (2, 700, 5, 3))
    found = _some(values, (1, 1, 5, 1), 2, np.random.default_rng(0))
    assert found.shape == (5, 1024)  # 2,048 in two batches
    assert (found == np.arange(5.0)[:, None]).all()

"""What moving each code costs, so that layers compare."""

from dataclasses import replace

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random, rounded, task_of

from onnx_evoq.evolve.network_codes.code_vector import CodeVector
from onnx_evoq.evolve.network_codes.move_costs import _costs_after_reconstruction, move_costs
from onnx_evoq.model import as_network, fold_batch_norm, load
from onnx_evoq.quantize import LayerReconstruction, QuantizedWeight
from onnx_evoq.quantize.weights.fixed_point import FixedPoint
from onnx_evoq.reconstruct.layer_by_layer import QuantizedModel, reconstruct_layers


def test_the_cost_in_a_table_is_that_of_the_squared_rounding_error() -> None:
    model = load(model_of(
        [node("Gather", ["table", "x"], ["y"])], {"x": ["n"]}, {"y": ["n", 4]},
        {"table": random(9, 4)}, dtypes={"x": "int64"},
    ))  # fmt: skip
    task = task_of(model, np.arange(20) % 9, np.arange(9), bits=3)
    vector = CodeVector(rounded(model, 3))
    up, down = move_costs(
        task, QuantizedModel(as_network(model), vector.weights, {}, ("table",)), vector
    )
    codes, grid = vector.weights["table"]
    exact = random(9, 4) / grid.step
    for costs, step in ((up, 1), (down, -1)):
        expected = np.square(codes + step - exact) - np.square(codes - exact)
        assert costs == pytest.approx(expected.ravel(), abs=1e-4)


def test_the_cost_in_a_rounded_layer_counts_its_sums_too() -> None:
    model = load(mlp())
    task = task_of(model, random(24, 4), random(8, 4), bits=3)
    vector = CodeVector(rounded(model, 3))
    up, down = move_costs(task, QuantizedModel(as_network(model), vector.weights, {}, ()), vector)
    assert up + down == pytest.approx(2.0, abs=1e-5)
    errors = (
        vector.weights["second"].codes - random(3, 6, seed=3) / vector.weights["second"].grid.step
    )
    slope = 0.9 * errors + 0.1 * errors.sum(axis=1, keepdims=True)
    assert up[vector.slices["second"]] == pytest.approx((1 + 2 * slope).ravel(), abs=1e-4)


def reconstructed() -> tuple[object, QuantizedModel]:
    model, _ = fold_batch_norm(load(conv_net()))
    task = task_of(model, random(40, 3, 8, 8, seed=1), random(24, 3, 8, 8, seed=2), bits=3)
    return task, reconstruct_layers(task, np.random.default_rng(0))


def test_the_cost_in_a_reconstructed_layer_is_that_of_its_output_error() -> None:
    task, start = reconstructed()
    vector = CodeVector(start.quantized)
    up, down = move_costs(task, start, vector)
    assert np.isfinite(up).all()
    assert np.isfinite(down).all()
    found = start.layers["w2"]
    both = np.isfinite(found.up) & np.isfinite(found.down)
    ratio = up[vector.slices["w2"]].reshape(found.up.shape)[both] / found.up[both]
    price = (found.up + found.down)[both] / 2
    usual = price > 0.2 * price.mean()
    np.testing.assert_allclose(ratio[usual], ratio[usual][0], rtol=1e-3)


def test_layers_cost_about_the_same() -> None:
    task, start = reconstructed()
    vector = CodeVector(start.quantized)
    up, down = move_costs(task, start, vector)
    for index in vector.slices.values():
        assert (up + down)[index].mean() / 2 == pytest.approx(1, rel=0.2)


def test_the_way_back_from_a_move_is_what_the_move_was_worth() -> None:
    task, start = reconstructed()
    vector = CodeVector(start.quantized)
    _, high = vector.limits
    index = int(np.argmax(vector.codes < high))
    codes = vector.codes
    codes[index] += 1
    up, _ = move_costs(task, start, vector)
    _, down = move_costs(task, start, replace(vector, weights=vector.quantized(codes)))
    assert down[index] == pytest.approx(-up[index], rel=1e-3)


def made_up(up: list[float], down: list[float]) -> LayerReconstruction:
    """A reconstruction of which only the costs and the codes, all zero, are given."""
    weight = QuantizedWeight(np.zeros(len(up), np.int8), FixedPoint(4, 0))
    empty = np.zeros(0, np.float32)
    costs = (np.array(each, np.float32) for each in (up, down))
    return LayerReconstruction(weight, empty, *costs, empty, empty)


def test_costs_are_divided_by_the_mean_of_the_layer() -> None:
    # prices 2 and 1, mean 1.5; where +1 leaves the range, the price is the mean: up = 3 - 2
    found = made_up([3, np.inf, 1, np.inf], [1, 2, 1, np.inf])
    up, down = _costs_after_reconstruction(found, np.zeros(4, np.int8))
    assert up == pytest.approx([2, 2 / 3, 2 / 3, 1])
    assert down == pytest.approx([2 / 3, 4 / 3, 2 / 3, 1])


def test_costs_follow_a_parabola_as_codes_move() -> None:
    # p (c - 0)^2 with p = 1: from c = 1, up costs 3 and down gains 1
    up, down = _costs_after_reconstruction(made_up([1, 1], [1, 1]), np.array([1, -1]))
    assert up.tolist() == [3, -1]
    assert down.tolist() == [-1, 3]


def test_codes_that_hardly_matter_cost_a_tenth_of_the_mean() -> None:
    up, down = _costs_after_reconstruction(
        made_up([1.99, 0.01], [1.99, 0.01]), np.zeros(2, np.int8)
    )
    assert up == pytest.approx([1.99, 0.1])
    assert down == pytest.approx([1.99, 0.1])


def test_a_layer_without_any_cost_has_finite_ones() -> None:
    for cost in (0.0, np.inf):
        up, down = _costs_after_reconstruction(made_up([cost], [cost]), np.zeros(1, np.int8))
        assert np.isfinite([*up, *down]).all()

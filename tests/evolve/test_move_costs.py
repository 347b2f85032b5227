"""What moving each code costs, so that layers compare."""

from dataclasses import replace

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random, rounded, task_of

from onnx_evoq.evolve.code_vector import CodeVector
from onnx_evoq.evolve.move_costs import move_costs
from onnx_evoq.model import fold_batch_norm, load
from onnx_evoq.reconstruct.layer_by_layer import Reconstructed, reconstruct_layers


def test_of_a_table_it_is_the_squared_distance_in_steps() -> None:
    model = load(model_of(
        [node("Gather", ["table", "x"], ["y"])], {"x": ["n"]}, {"y": ["n", 4]},
        {"table": random(9, 4)}, dtypes={"x": "int64"},
    ))  # fmt: skip
    task = task_of(model, np.arange(20) % 9, np.arange(9), bits=3)
    flat = CodeVector(rounded(model, 3))
    up, down = move_costs(task, Reconstructed(model, flat.weights, {}, ("table",)), flat)
    codes, grid = flat.weights["table"]
    wanted = random(9, 4) / grid.step
    for costs, step in ((up, 1), (down, -1)):
        expected = np.square(codes + step - wanted) - np.square(codes - wanted)
        assert costs == pytest.approx(expected.ravel(), abs=1e-4)


def test_of_a_rounded_layer_its_sums_count_too() -> None:
    model = load(mlp())
    task = task_of(model, random(24, 4), random(8, 4), bits=3)
    flat = CodeVector(rounded(model, 3))
    up, down = move_costs(task, Reconstructed(model, flat.weights, {}, ()), flat)
    assert up + down == pytest.approx(2.0, abs=1e-5)
    errors = flat.weights["second"].codes - random(3, 6, seed=3) / flat.weights["second"].grid.step
    slope = 0.9 * errors + 0.1 * errors.sum(axis=1, keepdims=True)
    assert up[flat.slices["second"]] == pytest.approx((1 + 2 * slope).ravel(), abs=1e-4)


def reconstructed() -> tuple[object, Reconstructed]:
    model, _ = fold_batch_norm(load(conv_net()))
    task = task_of(model, random(40, 3, 8, 8, seed=1), random(24, 3, 8, 8, seed=2), bits=3)
    return task, reconstruct_layers(task, np.random.default_rng(0))


def test_of_a_reconstructed_layer_it_is_what_the_output_minds() -> None:
    task, start = reconstructed()
    flat = CodeVector(start.quantized)
    up, down = move_costs(task, start, flat)
    assert np.isfinite(up).all()
    assert np.isfinite(down).all()
    found = start.layers["w2"]
    both = np.isfinite(found.up) & np.isfinite(found.down)
    ratio = up[flat.slices["w2"]].reshape(found.up.shape)[both] / found.up[both]
    price = (found.up + found.down)[both] / 2
    usual = price > 0.2 * price.mean()
    np.testing.assert_allclose(ratio[usual], ratio[usual][0], rtol=1e-3)


def test_layers_cost_about_the_same() -> None:
    task, start = reconstructed()
    flat = CodeVector(start.quantized)
    up, down = move_costs(task, start, flat)
    for index in flat.slices.values():
        assert (up + down)[index].mean() / 2 == pytest.approx(1, rel=0.2)


def test_the_way_back_from_a_move_is_what_the_move_was_worth() -> None:
    task, start = reconstructed()
    flat = CodeVector(start.quantized)
    _, high = flat.limits
    index = int(np.argmax(flat.codes < high))
    codes = flat.codes
    codes[index] += 1
    up, _ = move_costs(task, start, flat)
    _, down = move_costs(task, start, replace(flat, weights=flat.quantized(codes)))
    assert down[index] == pytest.approx(-up[index], rel=1e-3)

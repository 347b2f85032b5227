"""The codes of all weights as one vector."""

import numpy as np
from graphs import conv_net, random, rounded

from onnx_evoq.evolve.network_codes.code_vector import CodeVector
from onnx_evoq.model import fold_batch_norm, load
from onnx_evoq.quantize import QuantizedWeight, fit, nearest

WEIGHTS = rounded(fold_batch_norm(load(conv_net()))[0], 3, channel=True)


def test_a_vector_holds_the_codes_of_all_weights_in_their_order() -> None:
    vector = CodeVector(WEIGHTS)
    assert vector.codes.shape == (6 * 27 + 6 * 54 + 30,)
    assert vector.slices == {"w1": slice(0, 162), "w2": slice(162, 486), "w3": slice(486, 516)}
    assert (vector.codes[vector.slices["w2"]] == WEIGHTS["w2"].codes.ravel()).all()


def test_codes_come_back_as_weights() -> None:
    vector = CodeVector(WEIGHTS)
    for name, (codes, grid) in vector.quantized(vector.codes).items():
        assert (codes == WEIGHTS[name].codes).all()
        assert grid is WEIGHTS[name].grid


def test_values_are_codes_times_steps() -> None:
    vector = CodeVector(WEIGHTS)
    changed = (vector.codes // 2).astype(np.int8)
    for name, values in vector.values(changed).items():
        grid = WEIGHTS[name].grid
        expected = (WEIGHTS[name].codes // 2) * grid.steps_for(values.ndim)
        np.testing.assert_array_equal(values, expected)


def test_limits_are_those_of_each_channel() -> None:
    values = random(2, 3)
    grid = fit(values, (2, 4), axis=0)
    low, high = CodeVector({"w": QuantizedWeight(nearest(values, grid), grid)}).limits
    assert low.tolist() == [-2] * 3 + [-8] * 3
    assert high.tolist() == [1] * 3 + [7] * 3

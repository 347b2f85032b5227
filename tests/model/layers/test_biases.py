"""The values of biases, which may be a part of what an initializer holds."""

import numpy as np
import pytest
from graphs import conv_net, model_of, node, random
from onnx import ModelProto

from onnx_evoq.model import (
    Layer,
    as_network,
    bias_values,
    float_bias,
    initializer_values,
    load,
)
from onnx_evoq.model.layers.layer import HalfBias
from onnx_evoq.quantize import Dense


def test_values_are_float32_in_their_shapes() -> None:
    values = initializer_values(load(conv_net(dtype="float16")), ["b2", "w3", "absent"])
    assert {name: (v.dtype.name, v.shape) for name, v in values.items()} == {
        "b2": ("float32", (6,)),
        "w3": ("float32", (6, 5)),
    }


# Biases that are half of an initializer


def halves(half: int, both: tuple[bool, ...]) -> tuple[ModelProto, Layer, np.ndarray]:
    """A model with an initializer of two directions, a layer with half of it, and its values."""
    values = random(2, 6, seed=1)
    nodes = [node("Neg", ["b"], ["y"])]
    layer = Layer("w", Dense("...c,drc->...dr"), "x", None, "b", half_bias=HalfBias(half, both))
    return model_of(nodes, {}, {"y": None}, {"b": values}), layer, values


BOTH, SOME = (True,) * 6, (True, True, False) * 2


@pytest.mark.parametrize("both", [BOTH, SOME])
@pytest.mark.parametrize("half", [0, 1])
def test_a_half_and_what_of_the_other_is_added(half: int, both: tuple[bool, ...]) -> None:
    model, layer, values = halves(half, both)
    first, second = values[:, :3].ravel(), values[:, 3:].ravel()
    own, other = (first, second) if half == 0 else (second, first)
    np.testing.assert_array_equal(float_bias(model, layer), own + np.where(both, other, 0))


@pytest.mark.parametrize("both", [BOTH, SOME])
@pytest.mark.parametrize("half", [0, 1])
def test_another_bias_changes_the_half_alone(half: int, both: tuple[bool, ...]) -> None:
    model, layer, values = halves(half, both)
    wanted = random(6, seed=2)
    changed = bias_values(model, layer, wanted)
    assert changed.shape == values.shape
    kept = slice(3, 6) if half == 0 else slice(0, 3)
    np.testing.assert_array_equal(changed[:, kept], values[:, kept])
    network = as_network(model).with_values({"b": changed})
    np.testing.assert_allclose(float_bias(network, layer), wanted, rtol=1e-5, atol=1e-6)


def test_a_bias_of_its_own_is_all_of_its_initializer() -> None:
    layer = Layer("w1", Dense("...k,kn->...n"), "x", "a", "b")
    np.testing.assert_array_equal(
        bias_values(model_of([], {}, {}, {}), layer, random(4)), random(4)
    )

"""The columns and targets at positions of one batch, above all where the output is no tensor."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from graphs import model_of, node, random

from onnx_evoq.batch import Batch
from onnx_evoq.engine.samples.at_layer import (
    AtLayer,
    chunk_of,
    has_positions,
    is_residual,
    output_shape,
    sources_of,
)
from onnx_evoq.model import Layer, as_network
from onnx_evoq.model.layers.layer import Product
from onnx_evoq.quantize import Dense, Linear, Window

WEIGHT, BIAS = random(8, 6), random(6, seed=1)
FLOATS, QUANTIZED = random(4, 5, 8, seed=2), random(4, 5, 8, seed=3)
PLAIN = Layer("w", Dense("...k,kn->...n"), "x", "y", "b")
INSIDE = replace(PLAIN, output=None)


@dataclass(frozen=True)
class Given:
    """A layer, and the tensors of both models around it."""

    layer: AtLayer
    tensors: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]


def at(layer: Layer, floats: dict[str, np.ndarray], **others: np.ndarray) -> Given:
    """A layer of one batch with 4 samples, and the tensors of both models."""
    return Given(AtLayer(layer, WEIGHT, bias=BIAS), {"x": QUANTIZED, **others}, floats)


def chunk(given: Given) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Columns, targets and shift at all positions."""
    source, tensors, targets = given.layer, given.tensors, given.targets
    assert has_positions(source, tensors, targets)
    residual = is_residual(source, tensors, targets)
    batch = Batch({"x": FLOATS}, 4, 4)
    found = chunk_of(source, batch, tensors, targets, 0, 5, residual=residual)
    return found.columns[0], found.targets[0], None if found.shift is None else found.shift[0]


def test_targets_of_an_output_that_is_no_tensor_follow_from_the_float_models_input() -> None:
    columns, targets, shift = chunk(at(INSIDE, {"x": FLOATS}))
    np.testing.assert_array_equal(columns, QUANTIZED.reshape(-1, 8))
    np.testing.assert_allclose(targets, FLOATS.reshape(-1, 8) @ WEIGHT + BIAS, atol=1e-5)
    assert shift is None


def test_they_equal_those_of_an_output_that_is_one() -> None:
    output = FLOATS @ WEIGHT + BIAS
    np.testing.assert_allclose(
        chunk(at(INSIDE, {"x": FLOATS}))[1], chunk(at(PLAIN, {"y": output}))[1], atol=1e-5
    )


def test_a_sum_that_is_no_tensor_adds_the_change_of_its_other_term() -> None:
    layer = replace(INSIDE, other="z")
    z = {name: random(4, 5, 6, seed=seed) for seed, name in enumerate(["float", "quantized"], 7)}
    source = at(layer, {"x": FLOATS, "z": z["float"]}, z=z["quantized"])
    _, targets, shift = chunk(source)
    change = (z["float"] - z["quantized"]).reshape(-1, 6)
    expected = FLOATS.reshape(-1, 8) @ WEIGHT + BIAS + change
    np.testing.assert_allclose(targets, expected, atol=1e-5)
    np.testing.assert_array_equal(shift, z["quantized"].reshape(-1, 6))


def test_the_float_models_input_may_have_another_name() -> None:
    layer = replace(INSIDE, float_names=("raw",))
    expected = FLOATS.reshape(-1, 8) @ WEIGHT + BIAS
    np.testing.assert_allclose(chunk(at(layer, {"raw": FLOATS}))[1], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("linear", "shape", "weight", "expected"),
    [
        (Dense("...k,kn->...n"), (4, 5, 8), (8, 6), (4, 5, 6)),
        (Dense("...kn,mk->...mn"), (4, 8, 5), (6, 8), (4, 6, 5)),
        (Window((3, 3), (2, 1), (1, 2), (1, 0, 2, 4)), (4, 3, 8, 9), (7, 3, 3, 3), (4, 7, 5, 9)),
        (Window((3,), (2,), (1,), None), (4, 3, 9), (7, 3, 3), (4, 7, 5)),
    ],
)
def test_the_shape_of_an_output_that_is_no_tensor(
    linear: Linear, shape: tuple[int, ...], weight: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    layer = replace(INSIDE, linear=linear)
    assert output_shape(layer, weight, {"x": np.empty(shape)}) == expected


@pytest.mark.parametrize("channels", [(True,) * 6, (True, False, True) * 2])
def test_a_product_beside_adds_its_change(channels: tuple[bool, ...]) -> None:
    states = {name: random(4, 5, 2, 7, seed=s) for s, name in enumerate(["float", "quantized"], 7)}
    weights = random(2, 3, 7, seed=5), random(2, 3, 7, seed=6)
    linear = Dense("...dc,drc->...dr")
    layer = replace(INSIDE, beside=Product("r", linear, "h", channels))
    source = at(layer, {"x": FLOATS, "h": states["float"]}, h=states["quantized"])
    _, targets, _ = chunk(replace(source, layer=replace(source.layer, beside=weights)))
    before, after = (
        np.einsum("npdc,drc->npdr", values, weight).reshape(-1, 6)
        for values, weight in zip(states.values(), weights, strict=True)
    )
    expected = FLOATS.reshape(-1, 8) @ WEIGHT + BIAS + np.where(channels, before - after, 0)
    np.testing.assert_allclose(targets, expected, atol=1e-5)


def test_the_weights_beside_are_those_of_both_models() -> None:
    model = model_of([node("Neg", ["x"], ["y"])], {"x": [2]}, {"y": None}, {"r": random(2, 3)})
    quantized = as_network(model).with_values({"r": np.zeros((2, 3), np.float32)})
    plain = replace(INSIDE, bias=None)
    layer = replace(plain, beside=Product("r", Dense("...k,kn->...n"), "h", (True,) * 6))
    (source,) = sources_of(layer, WEIGHT, (quantized, model))
    assert source.beside is not None
    np.testing.assert_array_equal(source.beside[0], random(2, 3))
    assert not source.beside[1].any()
    (source,) = sources_of(plain, WEIGHT, (quantized, model))
    assert source.beside is None


def test_each_layer_with_a_weight_has_a_source_with_its_own_bias() -> None:
    biases = {"b": random(6), "c": random(6, seed=1)}
    model = model_of([node("Neg", ["x"], ["y"])], {"x": [2]}, {"y": None}, biases)
    layer = replace(INSIDE, tied=(replace(INSIDE, bias="c", input="h"),))
    found = sources_of(layer, WEIGHT, (model, model))
    assert [source.layer for source in found] == [layer, *layer.tied]
    for source, bias in zip(found, biases.values(), strict=True):
        np.testing.assert_array_equal(source.bias, bias)


@pytest.mark.parametrize("gives_scores", [False, True])
def test_positions_whose_scores_can_change_are_drawn_more_often(gives_scores: bool) -> None:
    layer = Layer("w", Window((1,), (1,), (1,), (0, 0)), "x", "y", None, gives_scores=gives_scores)
    x, y = random(2, 3, 10, seed=4), np.full((2, 2, 10), -30, np.float32)
    y[1, 1, 7] = 0.5  # a score that is not next to 0, of one sample and one row
    batch = Batch({"x": x}, 2, 2)
    source = AtLayer(layer, random(2, 3, 1))
    found = chunk_of(source, batch, {"x": x}, {"y": y}, 0, 10, residual=False)
    assert found.columns.shape == (1, 20, 3)
    drawn = (found.columns[0, :10, None] == x[0].T).all(axis=2).sum(axis=0)  # of each position
    assert drawn.sum() == 10
    assert drawn[7] == (5 if gives_scores else 1)  # .49 of .94, of which the others have .05

"""The powers of a layer, against those of the tensors of the whole model."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random, run
from numpy.typing import NDArray
from onnx import ModelProto, helper

from onnx_evoq.batch import Batch, Group, make_batches
from onnx_evoq.batch import batches_of as grouped_batches
from onnx_evoq.engine import LayerPower, layer_powers
from onnx_evoq.model import (
    as_network,
    find_layers,
    find_weights,
    fold_batch_norm,
    input_specs,
    load,
)
from onnx_evoq.quantize import unexplained_power
from onnx_evoq.setup import Resources

MODEL = load(mlp())
X = random(21, 4) + 1
ALL = 10**9  # positions


def batches_of(model: ModelProto, x: NDArray[np.generic], size: int = 8) -> list[Batch]:
    return make_batches({"x": x}, input_specs(model), size)


def powers(
    model: ModelProto, batches: list[Batch], positions: int = ALL, **options: Any
) -> dict[str, LayerPower]:
    layers = find_layers(model, find_weights(model)[0])
    resources = options.pop("resources", Resources(workers=1))
    rng = np.random.default_rng(0)
    return layer_powers(
        as_network(model), layers, batches, rng, positions, resources, 2**40, **options
    )


def tensor(model: ModelProto, name: str, x: NDArray[np.generic]) -> NDArray[np.generic]:
    whole = ModelProto.FromString(model.SerializeToString())
    del whole.graph.output[:]
    whole.graph.output.append(helper.make_empty_tensor_value_info(name))
    return run(whole, {"x": x})[name]


def unexplained(x: NDArray[np.generic], *, centred: bool) -> NDArray[np.float64]:
    """By hand, from the columns of one group, (positions, columns)."""
    x = x.astype(np.float64) - (x.mean(axis=0) if centred else 0)
    return unexplained_power((x.T @ x / len(x))[None])


def test_with_a_bias_means_do_not_count() -> None:
    found, middle = powers(MODEL, batches_of(MODEL, X)), tensor(MODEL, "c", X)
    assert list(found) == ["first", "second"]
    for name, x in (("first", X), ("second", middle)):
        np.testing.assert_allclose(found[name].columns, unexplained(x, centred=True), rtol=1e-3)
        np.testing.assert_allclose(found[name].whole[0], x.var(axis=0), rtol=1e-3)
    output = run(MODEL, {"x": X})["logits"]
    np.testing.assert_allclose(found["second"].output, output.var(axis=0).mean(), rtol=1e-4)


def test_rows_of_unlike_power_have_their_own() -> None:
    scales = np.array([100, 1, 1], np.float32)
    weights = {"w": random(4, 3) * scales}
    model = load(
        model_of([node("MatMul", ["x", "w"], ["y"])], {"x": ["n", 4]}, {"y": ["n", 3]}, weights)
    )
    found = powers(model, batches_of(model, X))["w"]
    expected = np.square(X @ weights["w"]).mean(axis=0)[None]  # (groups, rows)
    np.testing.assert_allclose(found.output, expected, rtol=1e-4)


def test_without_a_bias_they_do() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("MatMul", ["a", "v"], ["y"])]
    weights = {"w": random(4, 3), "v": random(3, 2, seed=1)}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 2]}, weights))
    found = powers(model, batches_of(model, X))
    middle = X @ weights["w"]
    for name, x in (("w", X), ("v", middle)):
        np.testing.assert_allclose(found[name].columns, unexplained(x, centred=False), rtol=1e-3)
        np.testing.assert_allclose(found[name].whole[0], np.square(x).mean(axis=0), rtol=1e-3)
    np.testing.assert_allclose(found["w"].output, np.square(middle).mean(), rtol=1e-4)


def test_convolutions_have_the_power_of_each_tap() -> None:
    model, _ = fold_batch_norm(load(conv_net()))
    images = random(10, 3, 8, 8)
    found = powers(model, batches_of(model, images, 4))["w2"]
    padded = np.pad(tensor(model, "c", images), ((0, 0), (0, 0), (1, 1), (1, 1)))
    taps = np.stack([padded[:, :, i : i + 8, j : j + 8] for i in range(3) for j in range(3)], 2)
    x = taps.reshape(10, -1, 64).transpose(0, 2, 1).reshape(640, -1)
    np.testing.assert_allclose(found.columns, unexplained(x, centred=True), rtol=1e-3, atol=1e-5)


def test_samples_that_fill_the_last_batch_do_not_count() -> None:
    fixed = load(mlp(batch=8))
    free, filled = powers(MODEL, batches_of(MODEL, X)), powers(fixed, batches_of(fixed, X))
    for name, power in free.items():
        np.testing.assert_allclose(filled[name].columns, power.columns, rtol=1e-5)
        np.testing.assert_allclose(filled[name].output, power.output, rtol=1e-5)


@pytest.mark.parametrize("workers", [2, 3])
def test_the_number_of_workers_changes_nothing(workers: int) -> None:
    one = powers(MODEL, batches_of(MODEL, X, 3))
    other = powers(MODEL, batches_of(MODEL, X, 3), resources=Resources(workers=workers))
    for name, power in one.items():
        np.testing.assert_array_equal(other[name].columns, power.columns)
        np.testing.assert_array_equal(other[name].output, power.output)


def test_few_positions_are_drawn_once_for_all_samples() -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    model = load(model_of(nodes, {"x": ["n", 6, 4]}, {"y": ["n", 6, 3]}, {"w": random(4, 3)}))
    x = random(10, 6, 4)
    at = np.sort(np.random.default_rng(0).choice(6, 2, replace=False, shuffle=False))
    found = powers(model, batches_of(model, x, 4), positions=20)["w"]
    expected = unexplained(x[:, at].reshape(-1, 4), centred=False)
    np.testing.assert_allclose(found.columns, expected, rtol=1e-4)


def test_columns_of_wide_layers_are_explained_by_those_beside_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    model = load(model_of(nodes, {"x": ["n", 5]}, {"y": ["n", 3]}, {"w": random(5, 3)}))
    x = random(40, 5) @ random(5, 5, seed=1)
    monkeypatch.setattr(sys.modules["onnx_evoq.engine.layer_power"], "_COLUMNS_TOGETHER", 3)
    found = powers(model, batches_of(model, x))["w"].columns
    parts = [unexplained(x[:, some], centred=False) for some in (slice(0, 3), slice(3, 5))]
    np.testing.assert_allclose(found, np.concatenate(parts, axis=1), rtol=1e-3)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [1e30, np.inf, np.nan])
def test_a_layer_whose_columns_are_not_finite_is_left_out(value: float) -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Tanh", ["a"], ["b"]),
        node("MatMul", ["b", "v"], ["y"]),
    ]
    weights = {"w": np.ones((4, 3), np.float32), "v": random(3, 2)}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 2]}, weights))
    x = X.copy()
    x[3, 1] = value
    assert list(powers(model, batches_of(model, x))) == ([] if np.isnan(value) else ["v"])


def test_a_layer_without_an_axis_of_samples_has_the_power_of_all_positions() -> None:
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[1, 0]),
        node("MatMul", ["w", "t"], ["m"]),
        node("Transpose", ["m"], ["y"], perm=[1, 0]),
    ]
    model = load(model_of(nodes, {"x": ["n", 8]}, {"y": ["n", 8]}, {"w": random(8, 8)}))
    x = random(16, 8)
    found = powers(model, batches_of(model, x))["w"]
    np.testing.assert_allclose(found.whole[0], np.square(x).mean(axis=0), rtol=1e-4)


def test_progress_counts_layers() -> None:
    shown: list[Any] = []

    @contextmanager
    def progress(label: str, total: float) -> Iterator[Any]:
        shown.append((label, total))
        yield shown.append

    powers(MODEL, batches_of(MODEL, X), progress=progress)
    assert shown == [("layer powers", 2), 1, 1]


def test_samples_of_any_length_count_by_their_positions() -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    model = load(model_of(nodes, {"x": ["n", "t", 4]}, {"y": None}, {"w": random(4, 3)}))
    inputs = [random(2, length, 4, seed=length) for length in (3, 20, 7)]
    groups = [Group({"x": x}, np.arange(2 * k, 2 * k + 2)) for k, x in enumerate(inputs)]
    batches = grouped_batches(groups, input_specs(model), lambda group: 2)
    x = np.concatenate([each.reshape(-1, 4) for each in inputs])
    found = powers(model, batches)["w"]
    np.testing.assert_allclose(found.columns, unexplained(x, centred=False), rtol=1e-3)
    few, whole = powers(model, batches, 12)["w"], found.whole.mean()
    assert few.whole.mean() == pytest.approx(whole, rel=0.6)
    assert few.whole.mean() != pytest.approx(whole, rel=1e-4)

"""The columns and targets of a layer, above all of a layer whose output goes into a sum."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from graphs import model_of, node, random, task_of
from onnx import NodeProto

from onnx_evoq.batch import Group, batches_of, make_batches
from onnx_evoq.engine.layer_activations import LayerActivations, gather_at
from onnx_evoq.engine.samples import gathering as samples
from onnx_evoq.engine.samples import parts
from onnx_evoq.engine.samples.at_layer import AtLayer
from onnx_evoq.engine.samples.gathering import Around
from onnx_evoq.engine.samples.layer_samples import gather_samples
from onnx_evoq.model import (
    Model,
    find_layers,
    find_weights,
    input_specs,
    load,
    replace_weights,
)
from onnx_evoq.quantize import Activation, LayerSamples, SampleChunk
from onnx_evoq.setup import Resources

INPUTS = random(40, 5, 8)


def network(nodes: Sequence[NodeProto]) -> Model:
    """x (n, 5, 8) -> y (n, 5, 6), with a bias and two weights."""
    weights = {"w": random(8, 6), "b": random(6, seed=1), "v": random(8, 6, seed=2)}
    return load(model_of(nodes, {"x": ["n", 5, 8]}, {"y": ["n", 5, 6]}, weights))


def residual(activation: str = "Relu") -> Model:
    """An activation behind x v + (x w + b)."""
    nodes = [
        node("MatMul", ["x", "v"], ["o"]),
        node("MatMul", ["x", "w"], ["a"]),
        node("Add", ["a", "b"], ["s"]),
        node("Add", ["o", "s"], ["t"]),
        node(activation, ["t"], ["y"]),
    ]
    return network(nodes)


def attempted(
    model: Model,
    quantized: Model,
    name: str = "w",
    *,
    inputs: np.ndarray = INPUTS,
    size: int = 8,
    positions: int = samples.POSITIONS,
) -> LayerSamples | None:
    """The samples of a weight, or None if they cannot be gathered."""
    batches = make_batches({"x": inputs}, input_specs(model), size)
    weights = find_weights(model)[0]
    (weight,) = (weight for weight in weights if weight.name == name)
    one, other = (LayerActivations(batches, Resources(workers=1)) for _ in range(2))
    layer, rng = find_layers(model, weights)[name], np.random.default_rng(0)
    return gather_at(model, quantized, weight, layer, (one, other), rng, positions)


def gathered(model: Model, quantized: Model, name: str = "w", **options: Any) -> LayerSamples:
    """The samples of a weight; there must be some."""
    found = attempted(model, quantized, name, **options)
    assert found is not None
    return found


def product(name: str, model: Model) -> np.ndarray:
    (weight,) = (weight for weight in task_of(model, INPUTS, INPUTS).weights if weight.name == name)
    return INPUTS.reshape(-1, 8) @ weight.values


def test_the_activation_behind_a_sum_is_applied_to_the_sum() -> None:
    model = residual()
    other = replace_weights(model, {"v": random(8, 6, seed=3)})  # the other branch is quantized
    samples, x = gathered(model, other), INPUTS.reshape(-1, 8)
    ours, added = product("v", other), random(6, seed=1)
    wanted = product("v", model) + product("w", model) + added
    weight, bias = random(1, 6, 8, seed=4), random(1, 6, seed=5)
    total = x @ weight[0].T + bias + ours
    kept = np.where(wanted < 0, np.minimum(total, 0), wanted) - ours
    found = samples.moments_behind_activation(
        weight.astype(np.float64), bias.astype(np.float64)
    ).moments()
    cross = (kept - kept.mean(axis=0)).T @ (x - x.mean(axis=0)) / len(x)
    assert samples.activations == (Activation(),)
    np.testing.assert_allclose(found.t_mean[0], kept.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(found.cross[0], cross, atol=1e-4)


@pytest.mark.parametrize("name", ["w", "v"])
def test_the_activation_behind_a_sum_with_a_broadcast_branch_hides_nothing(name: str) -> None:
    nodes = [
        node("ReduceMean", ["x"], ["m"], axes=[1], keepdims=1),
        node("MatMul", ["m", "v"], ["o"]),
        node("MatMul", ["x", "w"], ["a"]),
        node("Add", ["a", "b"], ["s"]),
        node("Add", ["o", "s"], ["t"]),
        node("Relu", ["t"], ["y"]),
    ]
    model = network(nodes)
    samples, rows = gathered(model, model, name), (1, 6)
    others = samples.moments_behind_activation(
        random(*rows, 8, seed=4).astype(np.float64), np.ones(rows)
    )
    np.testing.assert_array_equal(others.moments().cross, samples.sums.moments().cross)


def test_a_layer_without_a_known_activation_keeps_no_columns() -> None:
    model = residual("Sigmoid")
    assert gathered(model, model).activations == (None,)


def test_the_values_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    model = residual()
    monkeypatch.setattr(samples, "KEPT_VALUES", 120 * (8 + 2 * 6))  # three of five positions
    assert sum(chunk.columns.shape[1] for chunk in gathered(model, model)._chunks) == 120


def plain(batch: int | str = "n") -> Model:
    """x (n, 5, 8) -> x w + b (n, 5, 6), and nothing behind it."""
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["y"])]
    weights = {"w": random(8, 6), "b": random(6, seed=1)}
    return load(model_of(nodes, {"x": [batch, 5, 8]}, {"y": [batch, 5, 6]}, weights))


@pytest.fixture
def chunks(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The columns of each chunk, (groups, positions, columns)."""
    columns: list[np.ndarray] = []

    class Recorded(LayerSamples):
        def add(self, *chunks: SampleChunk) -> None:
            columns.append(np.concatenate([chunk.columns for chunk in chunks], axis=1))
            super().add(*chunks)

    monkeypatch.setattr(samples, "LayerSamples", Recorded)
    monkeypatch.setattr(parts, "_SECTIONS", 1)
    return columns


def positions_per_sample(chunks: list[np.ndarray]) -> float:
    return sum(chunk.shape[1] for chunk in chunks) / len(INPUTS)


def test_columns_are_gathered_at_the_positions_drawn_for_each_batch(
    chunks: list[np.ndarray],
) -> None:
    gathered(plain(), plain(), positions=80)
    seeds, halves = np.random.default_rng(0).integers(2**63, size=5), ([], [])
    for start, seed in zip(range(0, 40, 8), seeds, strict=True):
        at = np.sort(np.random.default_rng(seed).choice(5, 2, replace=False, shuffle=False))
        halves[0].append(INPUTS[start : start + 4, at].reshape(-1, 8))
        halves[1].append(INPUTS[start + 4 : start + 8, at].reshape(-1, 8))
    for chunk, expected in zip(chunks, halves, strict=True):
        np.testing.assert_array_equal(chunk[0], np.concatenate(expected))


def test_targets_are_the_outputs_of_the_float_model() -> None:
    other = replace_weights(plain(), {"w": random(8, 6, seed=9)})
    found = gathered(plain(), other).sums.moments()
    targets = INPUTS.reshape(-1, 8) @ random(8, 6) + random(6, seed=1)
    np.testing.assert_allclose(found.t_mean[0], targets.mean(axis=0), atol=1e-5)


@pytest.mark.parametrize(("positions", "each"), [(10**6, 5), (160, 4), (1, 1)])
def test_positions_are_shared_by_all_samples(
    chunks: list[np.ndarray], positions: int, each: int
) -> None:
    gathered(plain(), plain(), positions=positions)
    assert positions_per_sample(chunks) == each


def test_wide_layers_have_fewer_positions(
    chunks: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "_MOMENT_PRODUCTS", 80 * 8**2)
    gathered(plain(), plain())
    assert positions_per_sample(chunks) == 2


@pytest.mark.parametrize(
    ("values", "size", "lengths"),
    [
        (2**22, 8, [100, 100]),  # half of each batch of 8 samples with 5 positions
        (2**22, 40, [100, 100]),
        (2**22, 13, [33 + 32 + 33, 32 + 33 + 32 + 5]),  # the last batch, of one, is not divided
        (2 * 4 * 5 * 8, 8, [40, 40, 40, 40, 20, 20]),  # values of the halves of two batches
        (1, 20, [100, 100]),
        (1, 5, [25, 25] * 4),
    ],
)
def test_chunks_are_of_one_half_of_each_batch_in_turn(
    chunks: list[np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    values: int,
    size: int,
    lengths: list[int],
) -> None:
    monkeypatch.setattr(parts, "_CHUNK_VALUES", values)
    gathered(plain(), plain(), size=size)
    assert [chunk.shape[1] for chunk in chunks] == lengths


def test_both_folds_have_batches_of_one_position(chunks: list[np.ndarray]) -> None:
    folds = gathered(plain(1), plain(1), size=1, positions=1).sums.folds()
    assert [chunk.shape[1] for chunk in chunks] == [20, 20]
    assert folds is not None


def test_a_single_position_is_one_chunk(chunks: list[np.ndarray]) -> None:
    found = gathered(plain(), plain(), inputs=INPUTS[:1], positions=1)
    assert [chunk.shape for chunk in chunks] == [(1, 1, 8)]
    assert found.sums.folds() is None


def test_samples_that_fill_the_last_batch_are_left_out(chunks: list[np.ndarray]) -> None:
    gathered(plain(batch=16), plain(batch=16), size=16)
    assert positions_per_sample(chunks) == 5


def test_one_batch_is_enough() -> None:
    assert gathered(residual(), residual(), size=40).activations == (Activation(),)


def test_without_an_axis_of_samples_all_positions_of_a_batch_are_drawn_from(
    chunks: list[np.ndarray],
) -> None:
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[1, 0]),
        node("MatMul", ["w", "t"], ["m"]),
        node("Transpose", ["m"], ["y"], perm=[1, 0]),
    ]
    model = load(model_of(nodes, {"x": ["n", 8]}, {"y": ["n", 8]}, {"w": random(8, 8)}))
    inputs = random(40, 8)
    moments = gathered(model, model, inputs=inputs).sums.moments()
    assert sum(chunk.shape[1] for chunk in chunks) == 40
    np.testing.assert_allclose(moments.hessian[0], inputs.T @ inputs / 40, atol=1e-4)
    chunks.clear()
    gathered(model, model, inputs=inputs, positions=20)
    assert sum(chunk.shape[1] for chunk in chunks) == 20


@pytest.mark.parametrize("value", [3e38, np.inf])
def test_columns_and_targets_that_are_not_finite_are_not_gathered(value: float) -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Add", ["a", "x"], ["s"]),
        node("Tanh", ["s"], ["y"]),
    ]
    model = load(model_of(nodes, {"x": ["n", 8]}, {"y": ["n", 8]}, {"w": random(8, 8)}))
    inputs = np.where(random(40, 8) > 1.5, np.float32(-value), np.float32(1))
    assert attempted(model, model, inputs=inputs) is None


class Given:
    """Tensors that are at hand, and a record of the batches that were asked for."""

    def __init__(self, name: str, values: Sequence[np.ndarray]) -> None:
        self._name, self._values = name, values

    def of(self, index: int) -> dict[str, np.ndarray]:
        return {self._name: self._values[index]}


@dataclass(frozen=True)
class Placed:
    """A layer, and the tensors around it."""

    layer: AtLayer
    around: Around

    def heldout(self, numbers: Collection[int]) -> "Placed":
        """The same with some batches that only judge."""
        return replace(self, around=replace(self.around, heldout=numbers))

    def gathered(self, *options: Any, **others: Any) -> LayerSamples | None:
        """Its samples."""
        rng = np.random.default_rng(0)
        return gather_samples([self.layer], self.around, rng, *options, **others)


def at_layer(samples: int = 40) -> Placed:
    """The layer x w + b, with inputs and outputs that are given."""
    batches = make_batches({"x": INPUTS[:samples]}, input_specs(plain()), 8)
    layer = find_layers(plain(), find_weights(plain())[0])["w"]
    inputs = [batch.feed["x"].copy() for batch in batches]
    outputs = [x @ random(8, 6) + 1 for x in inputs]
    around = Around(Given(layer.input, inputs), Given(layer.output, outputs), batches)
    return Placed(AtLayer(layer, random(8, 6)), around)


def positions_of_a_sample(source: Placed) -> int:
    layer = source.layer.layer
    return layer.linear.positions(source.around.outputs.of(0)[layer.output].shape)


@pytest.mark.parametrize("workers", [2, 5])
def test_batches_that_are_worked_on_side_by_side_give_the_same(workers: int) -> None:
    found = [at_layer().gathered(80, n) for n in (1, workers)]
    one, other = (samples.sums.moments() for samples in found if samples is not None)
    np.testing.assert_array_equal(one.hessian, other.hessian)
    np.testing.assert_array_equal(one.cross, other.cross)


@pytest.mark.parametrize("values", [2**22, 1])
def test_batches_that_are_held_out_only_judge(monkeypatch: pytest.MonkeyPatch, values: int) -> None:
    monkeypatch.setattr(parts, "_CHUNK_VALUES", values)  # all in a chunk, or each in its own
    whole, others = at_layer().heldout({0, 3}), (1, 2, 4)
    name, around = whole.layer.layer.output, whole.around
    rest = Around(
        Given("x", [around.inputs.of(k)["x"] for k in others]),
        Given(name, [around.outputs.of(k)[name] for k in others]),
        [around.batches[k] for k in others],
    )
    found, alone = (each.gathered() for each in (whole, replace(whole, around=rest)))
    assert found is not None
    assert alone is not None
    assert found.sums.count == alone.sums.count == 24 * positions_of_a_sample(whole)
    one, other = found.sums.moments(), alone.sums.moments()
    np.testing.assert_allclose(one.hessian, other.hessian, rtol=1e-4, atol=1e-5)
    seen, unseen = found.sums.folds() or (None, None)
    assert seen is not None
    assert unseen is not None
    np.testing.assert_array_equal(seen.hessian, one.hessian)
    judges = np.concatenate([whole.around.inputs.of(k)["x"].reshape(-1, 8) for k in (0, 3)])
    np.testing.assert_allclose(unseen.hessian[0], np.cov(judges.T, bias=True), atol=1e-4)


@pytest.mark.parametrize(("many", "kept"), [(8, False), (7, True)])
def test_batches_that_judge_many_columns_are_kept(
    monkeypatch: pytest.MonkeyPatch, many: int, kept: bool
) -> None:
    monkeypatch.setattr(samples, "MANY_COLUMNS", many)  # there are 8
    found = at_layer().heldout({0, 3}).gathered()
    assert found is not None
    assert found.judges == kept * 16 * positions_of_a_sample(at_layer())


@pytest.mark.parametrize("workers", [1, 3])
def test_the_tensors_of_each_batch_are_handed_on_in_order(workers: int) -> None:
    source, kept = at_layer(), []
    layer, around = source.layer.layer, source.around

    def keep(inputs: dict[str, np.ndarray], outputs: dict[str, np.ndarray]) -> None:
        kept.append((inputs[layer.input], outputs[layer.output]))

    source.gathered(workers=workers, keep=keep)
    assert len(kept) == 5
    for index, (inputs, outputs) in enumerate(kept):
        assert inputs is around.inputs.of(index)[layer.input]
        assert outputs is around.outputs.of(index)[layer.output]


@pytest.mark.parametrize(
    ("inputs", "moments", "few"), [(8, False, True), (8, True, False), (9, False, False)]
)
def test_few_positions_are_kept_without_moments_if_none_are_needed(
    inputs: int, moments: bool, few: bool
) -> None:
    found = at_layer(inputs).gathered(1, moments=moments)
    assert found is not None
    assert found.few == few
    if few:  # one position of each of eight samples, for eight columns
        assert [chunk.columns.shape for chunk in found.together] == [(1, 8, 8)]


def test_few_positions_that_are_not_finite_are_not_gathered() -> None:
    source = at_layer(4)
    source.around.inputs.of(0)["x"][1] *= np.float32(1e30)
    assert source.gathered(1, moments=False) is None


def test_a_feed_of_several_entries_counts_as_so_many_samples() -> None:
    model = residual()
    feeds = INPUTS.reshape(4, 10, 5, 8)
    # At most 100 positions of 40 entries: 2 of the 5 positions of each.
    assert gathered(model, model, inputs=feeds, size=1, positions=100).sums.count == 80


def some_batches(without: Collection[int], *, heldout: Collection[int] = ()) -> Placed:
    """The layer `at_layer` in a branch that does not run on some batches."""
    whole = at_layer()
    empty = np.empty(0, np.float32)
    name, around = whole.layer.layer.output, whole.around
    assert name is not None
    inputs = [empty if k in without else around.inputs.of(k)["x"] for k in range(5)]
    outputs = [empty if k in without else around.outputs.of(k)[name] for k in range(5)]
    given = Around(Given("x", inputs), Given(name, outputs), around.batches, heldout)
    return replace(whole, around=given)


@pytest.mark.parametrize("without", [{0, 3}, {4}])
def test_batches_on_which_a_layer_does_not_run_are_left_out(without: set[int]) -> None:
    found = some_batches(without).gathered()
    assert found is not None
    real = np.concatenate([INPUTS[8 * k : 8 * k + 8] for k in range(5) if k not in without])
    assert found.count == 5 * len(real)
    expected = real.reshape(-1, 8).mean(axis=0)
    np.testing.assert_allclose(found.sums.moments().x_mean[0], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("heldout", [set(), {0, 1}])
def test_a_layer_that_runs_on_no_fitted_batch_is_not_gathered(heldout: set[int]) -> None:
    without = set(range(5)) - set(heldout)
    assert some_batches(without, heldout=heldout).gathered() is None


def test_batches_on_which_the_models_go_other_ways_are_left_out() -> None:
    source = some_batches(())
    other_way = replace(source.around, outputs=some_batches({1}).around.outputs)
    found = replace(source, around=other_way).gathered()
    assert found is not None
    assert found.count == 5 * 32


def of_lengths(
    model: Model, lengths: Sequence[int], positions: int = samples.POSITIONS
) -> tuple[LayerSamples | None, list[np.ndarray]]:
    """The samples of the weight w for batches of one sample of each length, and these."""
    inputs = [random(1, length, 8, seed=length) for length in lengths]
    specs = [replace(spec, shape=(None, None, 8)) for spec in input_specs(model)]
    groups = [Group({"x": x}, np.array([k])) for k, x in enumerate(inputs)]
    batches = batches_of(groups, specs, lambda group: 1)
    one, other = (LayerActivations(batches, Resources(workers=1)) for _ in range(2))
    weights = find_weights(model)[0]
    (weight,) = (weight for weight in weights if weight.name == "w")
    layer, rng = find_layers(model, weights)["w"], np.random.default_rng(0)
    return gather_at(model, model, weight, layer, (one, other), rng, positions), inputs


def open_network(nodes: Sequence[NodeProto]) -> Model:
    weights = {"w": random(8, 6), "b": random(6, seed=1), "v": random(8, 6, seed=2)}
    return load(model_of(nodes, {"x": ["n", "t", 8]}, {"y": ["n", "t", 6]}, weights))


PLAIN = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["y"])]


def test_all_positions_of_samples_of_any_length_count_alike() -> None:
    found, inputs = of_lengths(open_network(PLAIN), [3, 17, 1, 9])
    assert found is not None
    x = np.concatenate(inputs, axis=1)[0]
    moments = found.sums.moments()
    np.testing.assert_allclose(moments.x_mean[0], x.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(moments.hessian[0], np.cov(x.T, bias=True), atol=1e-4)


def test_long_samples_have_more_of_few_positions(chunks: list[np.ndarray]) -> None:
    of_lengths(open_network(PLAIN), [10, 40, 20, 30], positions=50)
    # A batch of one sample goes to one half: the first and the third, the second and the last.
    assert [chunk.shape[1] for chunk in chunks] == [15, 35]


def test_a_branch_that_is_broadcast_is_no_residual_though_one_sample_is_that_short() -> None:
    nodes = [
        node("ReduceMean", ["x"], ["m"], axes=[1], keepdims=1),
        node("MatMul", ["m", "v"], ["o"]),
        *PLAIN[:1],
        node("Add", ["a", "b"], ["s"]),
        node("Add", ["o", "s"], ["y"]),
    ]
    found, inputs = of_lengths(open_network(nodes), [1, 4, 6])
    assert found is not None
    x = np.concatenate(inputs, axis=1)[0]
    expected = (x @ random(8, 6) + random(6, seed=1)).mean(axis=0)
    np.testing.assert_allclose(found.sums.moments().t_mean[0], expected, atol=1e-5)

"""Each layer, quantized by itself in all ways that a search may choose."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from far_workers import FAR, FarWorkers
from graphs import conv_net, fire, mlp, random, task_of
from kept_runs import Killed, Kills, names_in

from onnx_evoq.mixed_precision.layer_table import LayerTable, several_layers
from onnx_evoq.mixed_precision.layer_table.variants import (
    LayerVariants,
    quantize_variants,
    split_columns,
)
from onnx_evoq.mixed_precision.search_space import SPLIT_SHARES, WIDTHS, Part, find_splits
from onnx_evoq.model import (
    find_layers,
    find_weights,
    fold_batch_norm,
    load,
    own_biases,
    replace_weights,
)
from onnx_evoq.quantize import Effort, LayerAtWidth, QuantizedWeight, fit, nearest
from onnx_evoq.reconstruct import Plan
from onnx_evoq.record.steps import FolderSteps
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Resources, Task, model_value

Tabulated = Callable[..., tuple[Task, LayerTable]]

UNSPLIT = (0, 0, 0)


def part_of(channels: list[int] | None) -> Part:
    own = None if channels is None else np.array(channels)
    return Part("w", own, 1, 2, UNSPLIT, 0, -1, -1, UNSPLIT)


def variant_of(value: float) -> LayerAtWidth:
    """A weight (2, 3) whose channels lie along axis 1, all of one value, and its bias."""
    return LayerAtWidth(
        np.full((2, 3), value, np.float32), np.full(3, 10 * value, np.float32), np.zeros(3)
    )


def layers_of(biases: dict[str, str]) -> LayerVariants:
    floats = {"w": np.zeros((2, 3), np.float32), "b": np.zeros((1, 3), np.float32)}
    return LayerVariants(load(mlp()), floats, {"w": 1}, biases, {})


def test_a_weight_of_one_variant_has_its_values_and_a_bias_in_its_own_shape() -> None:
    variant = variant_of(1)
    values = layers_of({"w": "b"}).whole("w", variant)
    assert values["w"] is variant.values
    assert values["b"].tolist() == [[10, 10, 10]]
    assert list(layers_of({}).whole("w", variant)) == ["w"]


def test_a_part_of_all_channels_is_the_whole_weight() -> None:
    variant = variant_of(1)
    values = layers_of({"w": "b"}).assemble("w", [(part_of(None), variant)])
    assert values["w"] is variant.values
    assert values["b"].tolist() == [[10, 10, 10]]


def test_each_part_takes_its_channels_from_its_variant_and_the_rest_is_float() -> None:
    layers = layers_of({"w": "b"})
    parts = [(part_of([2]), variant_of(1)), (part_of([0]), variant_of(2))]
    values = layers.assemble("w", parts)
    assert values["w"].tolist() == [[2, 0, 1]] * 2
    assert values["b"].tolist() == [[20, 0, 10]]
    assert not layers.floats["w"].any()  # it is left as it was
    assert not layers.floats["b"].any()


def test_parts_of_a_weight_without_a_bias_are_its_channels_alone() -> None:
    values = layers_of({}).assemble("w", [(part_of([1]), variant_of(1))])
    assert {name: array.tolist() for name, array in values.items()} == {"w": [[0, 1, 0]] * 2}


def test_there_is_a_variant_for_each_granularity_share_and_width(tabulated: Tabulated) -> None:
    layers = tabulated("fire", granularities=("tensor", "channel"))[1].layers
    for variants in layers.of.values():
        assert np.shape([[[v.costs.sum() for v in s] for s in g] for g in variants]) == (2, 3, 7)
        for narrow, wide in zip(variants[0][0], variants[0][0][2:], strict=False):
            assert narrow.costs.sum() > wide.costs.sum()
    costs = [sum(v[g][0][1].costs.sum() for v in layers.of.values()) for g in (0, 1)]
    assert costs[1] < costs[0]  # steps per channel fit better


def test_each_layer_has_a_bias_of_its_own(tabulated: Tabulated) -> None:
    task, table = tabulated("fire")
    assert len(table.layers.biases) == 4
    assert "one_bias" not in {  # it was the only one
        bias for name, bias in table.layers.biases.items() if name != "one"
    }
    floats = table.layers.floats
    assert {*floats} == {*table.layers.biases, *table.layers.biases.values()}
    model = replace_weights(table.layers.model, floats)
    assert model_value(model, task.search_set) == 0


def test_an_add_behind_a_matmul_is_its_bias(tabulated: Tabulated) -> None:
    assert tabulated("mlp")[1].layers.biases == {"first": "first_bias", "second": "second_bias"}


def test_the_channel_axis_of_each_weight_is_known(tabulated: Tabulated) -> None:
    assert tabulated("mlp")[1].layers.axes == {"first": 1, "second": 0}
    assert "table" not in tabulated("recurrent")[1].layers.axes  # it has none


def test_layers_that_read_no_split_channels_have_the_same_variants_for_all_shares(
    tabulated: Tabulated,
) -> None:
    ((none, *shares),) = tabulated("fire")[1].layers.of["squeeze"]
    assert len(shares) == len(SPLIT_SHARES) - 1
    for share in shares:
        assert all(one is other for one, other in zip(none, share, strict=True))


def test_split_inputs_change_the_layers_that_read_them(tabulated: Tabulated) -> None:
    layers = tabulated("fire")[1].layers
    for name in ("three", "last"):
        none, _, two = (share[2].values for share in layers.of[name][0])
        assert not np.array_equal(none, two)


def test_the_columns_of_split_channels_are_split(tabulated: Tabulated) -> None:
    _, table = tabulated("mlp")
    splits = find_splits(table.layers.model, find_weights(table.layers.model)[0], True)
    (weight,) = (w for w in find_weights(table.layers.model)[0] if w.name == "second")
    linear = find_layers(table.layers.model, [weight])["second"].linear
    first = splits.orders["first"][0]
    assert split_columns(weight, linear, splits) == [[], [first], [first]]
    (unread,) = (w for w in find_weights(table.layers.model)[0] if w.name == "first")
    assert split_columns(unread, linear, splits) == [[]]


def test_all_columns_of_a_split_channel_are_split(tabulated: Tabulated) -> None:
    _, table = tabulated("fire")
    weights = {weight.name: weight for weight in find_weights(table.layers.model)[0]}
    splits = find_splits(table.layers.model, list(weights.values()), True)
    linear = find_layers(table.layers.model, list(weights.values()))["three"].linear
    first, second = splits.orders["squeeze"][:2]
    none, one, two = split_columns(weights["three"], linear, splits)
    assert none == []
    assert one == list(range(9 * first, 9 * first + 9))  # a kernel of 3 x 3
    assert two == sorted(one + list(range(9 * second, 9 * second + 9)))


def test_weights_without_a_closed_form_are_rounded_to_the_nearest(tabulated: Tabulated) -> None:
    task, table = tabulated("recurrent")
    assert list(table.layers.biases) == []  # a MatMul has none, and no Add stands behind it
    for weight in task.weights[:1]:
        assert table.layers.of[weight.name][0][1] is table.layers.of[weight.name][0][0]
        for variant, bits in zip(table.layers.of[weight.name][0][0], WIDTHS, strict=True):
            grid = fit(weight.values, bits)
            expected = QuantizedWeight(nearest(weight.values, grid), grid).values
            np.testing.assert_array_equal(variant.values, expected)
            error = ((expected - weight.values) ** 2).sum()
            assert variant.costs == pytest.approx([error])
            assert variant.bias.size == 0


@pytest.mark.parametrize("name", ["fire", "float16"])
def test_positions_are_drawn_from_the_generator_alone(name: str) -> None:
    if name == "fire":
        model, x = load(fire()), random(8, 2, 6, 6, seed=9)
    else:
        model = fold_batch_norm(load(conv_net(dtype="float16")))[0]
        x = random(8, 3, 8, 8, dtype="float16")
    task = task_of(model, x, x[:4])
    model = own_biases(model, task.bits)
    splits = find_splits(model, task.weights, False)
    one, other = (
        quantize_variants(task, model, splits, ["channel"], np.random.default_rng(3)) for _ in "ab"
    )
    for weight in task.weights:
        values = [layers.of[weight.name][0][0][2].values for layers in (one, other)]
        np.testing.assert_array_equal(*values)
        assert np.isfinite(values[0]).all()
        assert not np.array_equal(values[0], weight.values)


def test_without_time_layers_are_rounded_to_the_nearest_codes() -> None:
    model = load(fire())
    task = task_of(model, random(12, 2, 6, 6), random(4, 2, 6, 6), deadline=Deadline(0))
    rng = np.random.default_rng(0)
    layers = quantize_variants(task, model, find_splits(model, task.weights, True), ["tensor"], rng)
    assert layers.cut == "to save time, of 4 layers 4 are rounded to the nearest codes."
    for weight in task.weights:
        for bits, variant in zip(WIDTHS, layers.of[weight.name][0][0], strict=True):
            grid = fit(weight.values, bits, None, "pow2")
            codes = nearest(weight.values, grid)
            assert np.array_equal(variant.values, QuantizedWeight(codes, grid).values)
    assert layers.biases == {}


def test_where_time_is_short_layers_have_gptq_rounding_only_and_no_splits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    effort = Effort(64, 0, compared_columns=0, descends=False, restarts=0)
    monkeypatch.setattr(Plan, "effort", lambda _: effort)
    model = load(fire())
    task = task_of(model, random(12, 2, 6, 6), random(4, 2, 6, 6))
    rng = np.random.default_rng(0)
    layers = quantize_variants(task, model, find_splits(model, task.weights, True), ["tensor"], rng)
    assert all(len(layers.of[weight.name][0]) == len(SPLIT_SHARES) for weight in task.weights)
    for own in layers.of.values():
        assert own[0][0] == own[0][-1]  # nothing is split
        assert own[0][0][0].costs.sum() > own[0][0][-1].costs.sum()


def made(seed: int, monkeypatch: pytest.MonkeyPatch, seconds: float, **options: Any) -> Any:
    """The arrays of all variants, when layers wait for so many seconds of work."""
    monkeypatch.setattr(several_layers, "_SECONDS_AT_ONCE", seconds)
    model = load(fire())
    task = task_of(model, random(12, 2, 6, 6), random(4, 2, 6, 6), **options)
    splits, rng = find_splits(model, task.weights, True), np.random.default_rng(seed)
    layers = quantize_variants(task, model, splits, ["tensor", "channel"], rng)
    names = [weight.name for weight in task.weights]
    assert list(layers.of) == names
    variants = [v for name in names for g in layers.of[name] for s in g for v in s]
    return [array for v in variants for array in (v.values, v.bias, v.costs)], rng.random()


@pytest.fixture(scope="module")
def expected() -> tuple[list[np.ndarray], float]:
    """The variants of the usual model, made a layer at a time, and what is drawn next."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        found: tuple[list[np.ndarray], float] = made(3, monkeypatch, 0.0)
        return found


def check(found: tuple[list[np.ndarray], float], expected: tuple[list[np.ndarray], float]) -> None:
    """Fail unless all arrays, and what is drawn next, are equal."""
    for one, other in zip(found[0], expected[0], strict=True):
        np.testing.assert_array_equal(one, other)
    assert found[1] == expected[1]


@pytest.mark.parametrize("seconds", [0.0, 0.01, 1e9])
@pytest.mark.parametrize("resources", [Resources(workers=3), Resources(workers=1, cluster=FAR)])
def test_variants_are_the_same_however_they_are_spread(
    far: FarWorkers, monkeypatch: pytest.MonkeyPatch, seconds: float, resources: Resources,
    expected: tuple[list[np.ndarray], float],
) -> None:  # fmt: skip
    monkeypatch.setattr(several_layers, "_SECONDS_PER_TASK", 0.0)
    monkeypatch.setattr(several_layers, "_ROWS_FOR_THREADS", 1)
    check(made(3, monkeypatch, seconds, resources=resources), expected)
    assert bool(far.asked) == (resources.cluster is not None)


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_a_run_that_is_killed_goes_on_behind_the_layers_that_it_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float,
    expected: tuple[list[np.ndarray], float],
) -> None:  # fmt: skip
    for kept in range(5):  # each run keeps one layer more
        with monkeypatch.context() as patched:
            Kills(patched, after=min(kept, 1))
            with pytest.raises(Killed):
                made(3, patched, seconds, steps=FolderSteps(tmp_path))
        assert len(names_in(tmp_path)) == kept
    check(made(3, monkeypatch, seconds, steps=FolderSteps(tmp_path)), expected)

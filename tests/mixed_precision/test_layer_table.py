"""Layers at all widths: what an individual is put together from."""

from functools import cache

import numpy as np
import pytest
from graphs import conv_net, fire, mlp, model_of, node, random, recurrent, task_of

from onnx_evoq.engine.evaluators import Evaluators
from onnx_evoq.metrics import find_metric
from onnx_evoq.mixed_precision.layer_table import LayerTable, build_layer_table, grouped
from onnx_evoq.mixed_precision.space import SPLIT_SHARES, WIDTHS
from onnx_evoq.model import fold_batch_norm, load, replace_weights
from onnx_evoq.quantize import QuantizedWeight, fit, nearest
from onnx_evoq.setup.scoring_set import model_value
from onnx_evoq.setup.task import Task


def candidates_of(task: Task, *, expansion: bool = True, groups: bool = False) -> LayerTable:
    kinds = (task.granularity,)
    return build_layer_table(task, np.random.default_rng(0), expansion, groups, False, kinds)


@cache
def of_fire(groups: bool = False) -> tuple[Task, LayerTable]:
    x = random(24, 2, 6, 6, seed=9)
    task = task_of(load(fire()), x, x[:8], granularity="channel" if groups else "tensor")
    return task, candidates_of(task, groups=groups)


@pytest.mark.parametrize("groups", [False, True])
def test_an_individual_scores_as_the_model_with_its_weights(groups: bool) -> None:
    task, found = of_fire(groups)
    (evaluator,) = Evaluators([task.search_set], task.resources).at(found.model, *found.floats)
    rng = np.random.default_rng(3)
    for _ in range(4):
        values = found.values(rng.integers(0, found.space.choices))
        assert values.keys() == found.floats.keys()
        whole = model_value(replace_weights(found.model, values), task.search_set)
        assert evaluator.value(values) == pytest.approx(whole, rel=1e-5)


def test_the_float_weights_are_those_of_the_model() -> None:
    task, found = of_fire()
    values = found.floats
    assert model_value(replace_weights(found.model, values), task.search_set) == 0
    # One layer had a bias; each gets its own.
    assert len(found.biases) == 4


def test_each_part_has_its_rung() -> None:
    _, found = of_fire()
    genome = np.array([0, 2, 4, 6, 0, 0])
    values = found.values(genome)
    for name, bits in (("squeeze", 2), ("one", 4), ("three", 6), ("last", 8)):
        variant = found.variants[name][0][0][bits]
        assert values[name] is variant.values
        np.testing.assert_array_equal(values[found.biases[name]], variant.bias)


def test_a_split_source_changes_what_reads_it() -> None:
    _, found = of_fire()
    plain, split = (found.values(np.array([2, 2, 2, 2, share, 0])) for share in (0, 2))
    np.testing.assert_array_equal(plain["squeeze"], split["squeeze"])
    np.testing.assert_array_equal(plain["last"], split["last"])
    assert not np.array_equal(plain["three"], split["three"])
    assert len(found.variants["three"][0]) == len(found.variants["last"][0]) == len(SPLIT_SHARES)
    assert len(found.variants["squeeze"][0]) == 1  # it reads the input


def test_groups_take_their_channels_from_rungs_of_their_own() -> None:
    _, found = of_fire(True)
    genome = found.space.uniform(8)
    index = next(k for k, part in enumerate(found.space.parts) if part.weight == "three")
    genome[index] = 0
    channels = found.space.parts[index].channels
    values, others = found.values(genome), np.setdiff1d(np.arange(17), channels)
    two, eight = found.variants["three"][0][0][2], found.variants["three"][0][0][8]
    np.testing.assert_array_equal(values["three"][channels], two.values[channels])
    np.testing.assert_array_equal(values["three"][others], eight.values[others])
    bias = values[found.biases["three"]]
    np.testing.assert_array_equal(bias[channels], two.bias[channels])
    np.testing.assert_array_equal(bias[others], eight.bias[others])


def test_harm_is_the_error_with_one_part_quantized() -> None:
    task, found = of_fire()
    scoring = task.search_set.scored_by(find_metric("nmse"))
    for index, name in enumerate(["squeeze", "one", "three", "last"]):
        variant = found.variants[name][0][0][4]
        alone = replace_weights(
            found.model, {name: variant.values, found.biases[name]: variant.bias}
        )
        assert found.sensitivity[index, 0, 2] == pytest.approx(
            model_value(alone, scoring), rel=1e-4
        )


def test_steps_per_channel_are_candidates_beside_one_step() -> None:
    task, one = of_fire()
    kinds = ("tensor", "channel")
    both = build_layer_table(task, np.random.default_rng(0), True, False, False, kinds)
    np.testing.assert_array_equal(both.sensitivity[:, 0], one.sensitivity[:, 0])
    assert (both.sensitivity[:, 1] < both.sensitivity[:, 0]).mean() > 0.6
    genome = both.space.uniform(3)
    plain = both.values(genome)
    genome[-1] = 1
    stepped = both.values(genome)
    np.testing.assert_array_equal(plain["one"], stepped["one"])
    assert stepped["last"] is both.variants["last"][1][0][3].values
    assert both.guess(genome) == pytest.approx(
        both.sensitivity[[0, 1, 2, 3], [0, 0, 0, 1], 1].sum()
    )


def test_what_a_weight_costs_is_its_harm_and_its_bits() -> None:
    _, found = of_fire(True)
    space = found.space
    sensitivities = found.sensitivities(space.uniform(2))
    for name in ("squeeze", "three"):
        own = [k for k, part in enumerate(space.parts) if part.weight == name]
        sensitivity, bits = found.cost_of(space.uniform(2), name)
        assert sensitivity == pytest.approx(sensitivities[own].sum())
        rows = sum(space.parts[k].rows for k in own)
        assert bits == rows * (space.parts[own[0]].columns * 2 + 8)  # codes, steps


def test_harm_is_in_proportion_to_the_error_of_the_layer() -> None:
    _, found = of_fire()
    for index, name in enumerate(["squeeze", "one", "three", "last"]):
        costs = [found.variants[name][0][0][bits].costs.sum() for bits in WIDTHS]
        np.testing.assert_allclose(
            found.sensitivity[index, 0] / found.sensitivity[index, 0, 2], costs / costs[2]
        )


def test_weights_that_are_exact_at_the_typical_width_are_measured_below() -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    weights = {"w": np.array([[0.5, -0.25], [0.25, 0.875]], np.float32)}
    model = load(model_of(nodes, {"x": ["n", 2]}, {"y": ["n", 2]}, weights))
    x = random(16, 2)
    found = candidates_of(task_of(model, x, x[:4]))
    assert found.sensitivity[0, 0, 0] > 0  # 2 bits
    assert (found.sensitivity[0, 0, 2:] == 0).all()


def test_harm_falls_with_the_width() -> None:
    sensitivity = of_fire()[1].sensitivity
    assert sensitivity.shape == (4, 1, len(WIDTHS))
    assert (sensitivity[:, 0, 0] > sensitivity[:, 0, 3]).all()
    assert (sensitivity[:, 0, 3] > sensitivity[:, 0, 6]).all()


def test_a_guess_adds_up_harms() -> None:
    _, found = of_fire()
    genome = np.array([0, 2, 4, 6, 0, 0])
    assert found.guess(genome) == pytest.approx(
        found.sensitivity[[0, 1, 2, 3], 0, [0, 2, 4, 6]].sum()
    )


def test_a_guess_counts_on_what_split_inputs_ease() -> None:
    _, found = of_fire()
    genome = np.array([3, 3, 3, 3, 2, 0])
    share = found.split_factor[:, 0, 3, 2]
    expected = found.sensitivity[:, 0, 3] * [1, share[1], share[2], 1]
    assert found.guess(genome) == pytest.approx(expected.sum())
    assert found.split_factor[0, 0, 3, 2] == 1  # it reads the input


def test_without_expansion_there_are_no_blocks() -> None:
    task, _ = of_fire()
    found = candidates_of(task, expansion=False)
    assert found.space.blocks == ()
    assert all(len(variants) == 1 for (variants,) in found.variants.values())


def test_weights_without_a_closed_form_are_rounded() -> None:
    x = np.random.default_rng(0).integers(0, 7, size=(16, 5))
    task = task_of(load(recurrent()), x, x[:8])
    found = candidates_of(task)
    assert list(found.biases) == []  # a MatMul has none, and no Add stands behind it
    for weight in task.weights[:3]:
        grid = fit(weight.values, 3)
        expected = QuantizedWeight(nearest(weight.values, grid), grid).values
        np.testing.assert_array_equal(found.variants[weight.name][0][0][3].values, expected)


def test_a_float16_model_has_candidates() -> None:
    model, _ = fold_batch_norm(load(conv_net(dtype="float16")))
    x = random(16, 3, 8, 8, dtype="float16")
    found = candidates_of(task_of(model, x, x[:8]))
    assert np.isfinite(found.sensitivity).all()
    assert (found.sensitivity[:, 0, 0] > found.sensitivity[:, 0, 4]).all()


def test_an_error_that_is_no_number_is_as_bad_as_can_be() -> None:
    # Half precision overflows where a narrow weight is larger than the float one.
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Exp", ["a"], ["y"])]
    weights = {"w": np.array([[10.9, 0.1], [0.2, 10.8]], np.float16)}
    model = load(model_of(nodes, {"x": ["n", 2]}, {"y": ["n", 2]}, weights, dtype="float16"))
    x = np.full((8, 2), 1, np.float16)
    found = candidates_of(task_of(model, x, x[:4]))
    assert np.isfinite(found.sensitivity).all()
    assert found.sensitivity[0, 0, 0] > 1


@pytest.mark.parametrize(("channels", "groups"), [(3, 1), (7, 1), (8, 2), (16, 4), (99, 8)])
def test_groups_have_four_channels_or_more(channels: int, groups: int) -> None:
    parts = grouped(np.arange(channels, dtype=np.float64))
    assert len(parts) == groups
    assert sorted(np.concatenate(parts).tolist()) == list(range(channels))
    assert {len(part) for part in parts} <= {-(-channels // groups), channels // groups}
    assert channels - 1 in parts[0]  # the largest cost


def test_the_mlp_gets_the_bias_of_an_add() -> None:
    x = random(16, 4)
    found = candidates_of(task_of(load(mlp()), x, x[:8]))
    assert found.biases == {"first": "first_bias", "second": "second_bias"}

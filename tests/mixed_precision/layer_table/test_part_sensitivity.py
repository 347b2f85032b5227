"""How sensitive the output is to each part of a weight."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from graphs import mlp, model_of, node, random, task_of

from onnx_evoq.metrics import find_metric
from onnx_evoq.mixed_precision.layer_table import LayerTable, build_layer_table
from onnx_evoq.mixed_precision.layer_table.part_sensitivity import (
    layer_errors,
    measure_sensitivity,
    split_factors,
)
from onnx_evoq.mixed_precision.layer_table.variants import LayerVariants
from onnx_evoq.mixed_precision.search_space import WIDTHS, Part, SearchSpaceOptions, Space
from onnx_evoq.model import load, replace_weights
from onnx_evoq.quantize import LayerAtWidth
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Task, model_value

Tabulated = Callable[..., tuple[Task, LayerTable]]

FOUR_BITS = WIDTHS.index(4)
UNSPLIT = (0, 0, 0)


def by_hand() -> tuple[Space, LayerVariants]:
    """A weight of three channels in two parts, with one granularity; wider is better."""
    variants = [
        [
            LayerAtWidth(np.empty(0), np.empty(0), np.array([4.0, 2, 1]) * factor / 2.0**width)
            for width in range(len(WIDTHS))
        ]
        for factor in (1.0, 0.5, 0.25)  # shares of the channels that it reads
    ]
    for share in variants:
        share[-1] = LayerAtWidth(np.empty(0), np.empty(0), np.zeros(3))  # exact
    parts = tuple(
        Part("w", np.array(own), 1, 1, UNSPLIT, 0, -1, 0, UNSPLIT) for own in ([0, 2], [1])
    )
    return Space(parts, (), {}, 0), LayerVariants(load(mlp()), {}, {}, {}, {"w": [variants]})


def test_the_error_of_a_part_is_that_of_its_channels() -> None:
    space, layers = by_hand()
    errors = layer_errors(space, layers, split=1)
    assert errors.shape == (2, 1, 7)
    assert errors[:, 0, 0].tolist() == [2.5, 1.0]
    assert errors[:, 0, 2].tolist() == [0.625, 0.25]


def test_a_split_factor_is_a_multiple_of_the_error_without_splits() -> None:
    factors = split_factors(*by_hand())
    assert factors.shape == (2, 1, 7, 3)
    assert (factors[:, :, :-1] == [1.0, 0.5, 0.25]).all()


def test_the_split_factor_of_an_exact_layer_is_1() -> None:
    assert (split_factors(*by_hand())[:, :, -1] == 1).all()


def test_a_sensitivity_is_the_error_with_one_part_quantized(tabulated: Tabulated) -> None:
    task, table = tabulated("fire")
    scoring = task.search_set.scored_by(find_metric("nmse"))
    for index, name in enumerate(["squeeze", "one", "three", "last"]):
        alone = table.layers.whole(name, table.layers.of[name][0][0][FOUR_BITS])
        expected = model_value(replace_weights(table.layers.model, alone), scoring)
        assert table.sensitivity[index, 0, FOUR_BITS] == pytest.approx(expected, rel=1e-4)


def test_the_other_channels_are_float_while_a_group_is_measured(tabulated: Tabulated) -> None:
    task, table = tabulated("fire", per_channel=True, granularities=("channel",))
    scoring = task.search_set.scored_by(find_metric("nmse"))
    index = table.space.indices["three"][1]
    part = table.space.parts[index]
    alone = table.layers.assemble("three", [(part, table.layers.of["three"][0][0][FOUR_BITS])])
    expected = model_value(replace_weights(table.layers.model, alone), scoring)
    assert table.sensitivity[index, 0, FOUR_BITS] == pytest.approx(expected, rel=1e-4)


def test_other_widths_and_granularities_are_in_proportion_to_the_layers_own_error(
    tabulated: Tabulated,
) -> None:
    _, table = tabulated("fire", granularities=("tensor", "channel"))
    errors = layer_errors(table.space, table.layers, split=0)
    reference = (slice(None), slice(0, 1), slice(FOUR_BITS, FOUR_BITS + 1))
    np.testing.assert_allclose(
        table.sensitivity / table.sensitivity[reference], errors / errors[reference]
    )
    assert table.sensitivity.shape == (4, 2, 7)


def test_an_exact_weight_is_measured_at_the_widest_width_that_is_not() -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    weights = {"w": np.array([[0.5, -0.25], [0.25, 0.875]], np.float32)}
    model = load(model_of(nodes, {"x": ["n", 2]}, {"y": ["n", 2]}, weights))
    x = random(16, 2)
    task = task_of(model, x, x[:4])
    table = build_layer_table(task, np.random.default_rng(0), SearchSpaceOptions())
    assert (table.sensitivity[0, 0, FOUR_BITS:] == 0).all()
    scoring = task.search_set.scored_by(find_metric("nmse"))
    for width in (1, 0):  # 3 bits, if not exact, and 2
        if table.sensitivity[0, 0, width] > 0:
            alone = table.layers.whole("w", table.layers.of["w"][0][0][width])
            expected = model_value(replace_weights(table.layers.model, alone), scoring)
            assert table.sensitivity[0, 0, width] == pytest.approx(expected, rel=1e-4)
            break
    assert table.sensitivity[0, 0, 0] > 0


def test_a_weight_that_is_exact_at_all_widths_has_no_sensitivity() -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    model = load(
        model_of(nodes, {"x": ["n", 2]}, {"y": ["n", 2]}, {"w": np.eye(2, dtype=np.float32) / -2})
    )
    x = random(16, 2)
    task = task_of(model, x, x[:4])
    table = build_layer_table(task, np.random.default_rng(0), SearchSpaceOptions())
    assert table.sensitivity.tolist() == [[[0.0] * 7]]


def test_an_error_that_is_no_number_is_a_very_large_one() -> None:
    # Half precision overflows where a narrow weight is larger than the float one.
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Exp", ["a"], ["y"])]
    weights = {"w": np.array([[10.9, 0.1], [0.2, 10.8]], np.float16)}
    model = load(model_of(nodes, {"x": ["n", 2]}, {"y": ["n", 2]}, weights, dtype="float16"))
    x = np.full((8, 2), 1, np.float16)
    table = build_layer_table(
        task_of(model, x, x[:4]), np.random.default_rng(0), SearchSpaceOptions()
    )
    assert np.isfinite(table.sensitivity).all()
    assert table.sensitivity[0, 0, FOUR_BITS] == 1e9


def test_parts_that_are_not_measured_in_time_are_in_proportion_to_the_layers_own_error(
    tabulated: Tabulated,
) -> None:
    task, table = tabulated("fire")
    now = [0.0]

    def clock() -> float:
        now[0] += 1
        return now[0]

    short = replace(task, deadline=Deadline(18, clock))  # a sixth passes after two looks
    sensitivity = measure_sensitivity(short, table.space, table.layers)
    errors = layer_errors(table.space, table.layers, split=0)
    ratios = (sensitivity / errors)[:, 0, FOUR_BITS]
    exact = (table.sensitivity / errors)[:, 0, FOUR_BITS]
    measured = np.isclose(ratios, exact, rtol=1e-6)
    assert measured[0]
    assert not measured[-1]
    assert ratios[-1] == pytest.approx(np.median(exact[measured]))

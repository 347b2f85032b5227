"""The layer table: what is looked up for a choice."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from graphs import mlp, model_of, node, random, task_of

from onnx_evoq.engine import Evaluators
from onnx_evoq.mixed_precision.layer_table import LayerTable, build_layer_table
from onnx_evoq.mixed_precision.layer_table.layer_table import find_channel_groups, group_channels
from onnx_evoq.mixed_precision.layer_table.variants import LayerVariants
from onnx_evoq.mixed_precision.search_space import Choice, Part, SearchSpaceOptions, Space
from onnx_evoq.model import find_weights, load, replace_weights
from onnx_evoq.quantize import LayerAtWidth
from onnx_evoq.setup import Task, model_value

Tabulated = Callable[..., tuple[Task, LayerTable]]

UNSPLIT = (0, 0, 0)


def by_hand() -> LayerTable:
    """Weight "w" of 2 x 3 codes in two parts, and "v" of 5 codes; sensitivities are all unlike."""
    parts = (
        Part("w", np.array([1]), 1, 3, UNSPLIT, 0, -1, -1, UNSPLIT),
        Part("w", np.array([0]), 1, 3, UNSPLIT, 0, -1, -1, UNSPLIT),
        Part("v", None, 1, 5, UNSPLIT, 0, -1, 0, UNSPLIT),
    )
    space = Space(parts, (("w",),), {}, 0, False, ("tensor", "channel"), ("w", "v"))
    variants = {
        name: [
            [
                [
                    LayerAtWidth(
                        np.full((2, 1), 100.0 * g + 10 * s + w, np.float32),
                        np.empty(0, np.float32),
                        np.zeros(2),
                    )
                    for w in range(7)
                ]
                for s in range(3)
            ]
            for g in range(2)
        ]
        for name in ("w", "v")
    }
    floats = {name: np.zeros((2, 1), np.float32) for name in ("w", "v")}
    layers = LayerVariants(load(mlp()), floats, {"w": 0, "v": 0}, {}, variants)
    sensitivity = np.arange(3 * 2 * 7, dtype=np.float64).reshape(3, 2, 7)
    split_factor = np.ones((3, 2, 7, 3))
    split_factor[2, :, :, 1] = 0.5
    return LayerTable(space, layers, sensitivity, split_factor)


def choice(table: LayerTable, *genes: int) -> Choice:
    return table.space.decode(np.array(genes))


def test_each_part_has_the_variant_that_was_chosen() -> None:
    table = by_hand()
    values = table.values(choice(table, 2, 4, 6, 0, 1, 0))
    assert values["w"].ravel().tolist() == [104, 102]  # channel 1 is in the first part
    assert values["v"].ravel().tolist() == [6, 6]
    values = table.values(choice(table, 2, 4, 6, 1, 0, 1))
    assert values["w"].ravel().tolist() == [2, 2]  # one step: one width
    assert values["v"].ravel().tolist() == [116, 116]  # its input is split


def test_a_sensitivity_is_that_of_the_chosen_granularity_and_width() -> None:
    table = by_hand()
    sensitivities = table.sensitivities(choice(table, 2, 4, 6, 0, 1, 0))
    assert sensitivities.tolist() == [7 + 2, 14 + 7 + 4, 28 + 6]


def test_split_inputs_multiply_the_sensitivity() -> None:
    table = by_hand()
    plain, split = (table.sensitivities(choice(table, 0, 0, 0, s, 0, 0)) for s in (0, 1))
    assert (split / np.where(plain == 0, 1, plain)).tolist() == [0, 1, 0.5]


def test_the_predicted_error_is_the_sum_of_the_sensitivities() -> None:
    table = by_hand()
    assert table.predicted_error(choice(table, 2, 4, 6, 0, 1, 0)) == 9 + 25 + 34


def test_the_cost_of_a_weight_is_its_sensitivity_and_its_bits() -> None:
    table = by_hand()
    assert table.cost_of(choice(table, 2, 4, 6, 0, 1, 0), "w") == (9 + 25, 3 * 4 + 3 * 6 + 2 * 32)
    assert table.cost_of(choice(table, 2, 4, 6, 0, 0, 0), "w") == (2 + 16, 6 * 4 + 32)
    assert table.cost_of(choice(table, 2, 4, 6, 0, 0, 1), "v") == (35 + 6, 5 * 8 + 32)


def test_compensation_multiplies_the_sensitivity_at_all_granularities() -> None:
    table = by_hand()
    shares = np.arange(21, dtype=np.float64).reshape(3, 7)
    compensated = table.compensated(shares)
    for granularity in (0, 1):
        assert (
            compensated.sensitivity[:, granularity] == table.sensitivity[:, granularity] * shares
        ).all()
    assert compensated.split_factor is table.split_factor


@pytest.mark.parametrize("groups", [False, True])
def test_a_choice_scores_like_the_model_with_its_weights(
    tabulated: Tabulated, groups: bool
) -> None:
    options = {"per_channel": True, "granularities": ("channel",)} if groups else {}
    task, table = tabulated("fire", **options)
    layers, rng = table.layers, np.random.default_rng(3)
    (evaluator,) = Evaluators([task.search_set], task.resources).at(layers.model, *layers.floats)
    for _ in range(2):
        values = table.values(table.space.decode(rng.integers(0, table.space.choices)))
        assert values.keys() == layers.floats.keys()
        whole = model_value(replace_weights(layers.model, values), task.search_set)
        assert evaluator.value(values) == pytest.approx(whole, rel=1e-5)


def test_without_expansion_no_input_is_split(tabulated: Tabulated) -> None:
    _, table = tabulated("mlp", expansion=False)
    assert table.space.blocks == ()
    assert (table.split_factor == 1).all()


def test_split_inputs_are_measured_with_expansion(tabulated: Tabulated) -> None:
    _, table = tabulated("fire")
    assert (table.split_factor[1:, :, :, 1:] != 1).any()
    assert (table.split_factor[0] == 1).all()  # it reads the input of the model


def test_channels_are_grouped_by_the_error_of_the_layer_at_4_bits(tabulated: Tabulated) -> None:
    _, table = tabulated("fire", per_channel=True, granularities=("channel",))
    costs = table.layers.of["three"][0][0][2].costs
    groups = [table.space.parts[k].channels for k in table.space.indices["three"]]
    assert [len(group) for group in groups] == [5, 4, 4, 4]
    for more, less in pairwise(groups):
        assert costs[more].min() >= costs[less].max()
    assert len(table.space.indices["one"]) == 1  # 5 channels are too few for two groups
    assert table.space.parts[table.space.indices["one"][0]].channels.tolist() == [0, 1, 2, 3, 4]


def test_weights_whose_channels_are_no_rows_have_no_groups(tabulated: Tabulated) -> None:
    _, table = tabulated("recurrent", per_channel=True, granularities=("channel",))
    parts = {part.weight: part.channels for part in table.space.parts}
    assert [name for name, channels in parts.items() if channels is None] == ["table"]
    assert len(table.space.indices["last"]) == 2  # a MatMul of 9 channels


@pytest.mark.parametrize(
    ("bias", "costs", "grouped"), [(4, 4, True), (0, 4, False), (4, 2, False), (0, 2, False)]
)
def test_only_weights_with_a_row_and_a_bias_per_channel_are_grouped(
    bias: int, costs: int, grouped: bool
) -> None:
    weight = find_weights(load(model_of(
        [node("MatMul", ["x", "w"], ["y"])], {"x": ["n", 2]}, {"y": ["n", 4]}, {"w": random(2, 4)}
    )))[0][0]  # fmt: skip
    variant = LayerAtWidth(np.empty(0), np.zeros(bias), np.arange(costs, dtype=np.float64))
    layers = LayerVariants(load(mlp()), {}, {}, {}, {"w": [[[variant] * 7] * 3]})
    groups = find_channel_groups(layers, [weight])
    assert [group.tolist() for group in groups.get("w", [])] == [[0, 1, 2, 3]] * grouped


def test_without_channel_groups_each_weight_is_one_part(tabulated: Tabulated) -> None:
    assert all(part.channels is None for part in tabulated("fire")[1].space.parts)


@pytest.mark.parametrize(("channels", "groups"), [(3, 1), (7, 1), (8, 2), (16, 4), (99, 8)])
def test_groups_have_four_channels_or_more(channels: int, groups: int) -> None:
    parts = group_channels(np.arange(channels, dtype=np.float64))
    assert len(parts) == groups
    assert sorted(np.concatenate(parts).tolist()) == list(range(channels))
    assert {len(part) for part in parts} <= {-(-channels // groups), channels // groups}
    assert channels - 1 in parts[0]  # the largest cost


def test_the_same_seed_gives_the_same_table() -> None:
    x = random(8, 4, seed=5)
    task = task_of(load(mlp()), x, x[:4])
    one, other = (
        build_layer_table(task, np.random.default_rng(1), SearchSpaceOptions()) for _ in "ab"
    )
    np.testing.assert_array_equal(one.sensitivity, other.sensitivity)

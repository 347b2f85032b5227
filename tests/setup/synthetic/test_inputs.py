"""Synthetic inputs with which models run."""

from typing import Any

import numpy as np
import pytest
from graphs import model_of, node, random, two_rates
from onnx import ModelProto, TensorProto
from sample_groups import inputs_of

from onnx_evoq.array_types import Arrays
from onnx_evoq.data import Data, Samples
from onnx_evoq.errors import DataError
from onnx_evoq.model import load
from onnx_evoq.run import Deadline
from onnx_evoq.setup.synthetic.inputs import synthetic_samples


def synthetic(model: ModelProto, **data: object) -> Samples:
    given = Data(**{"samples": 4, **data})  # type: ignore[arg-type]
    return synthetic_samples(load(model), "m.onnx", given, np.random.default_rng(0))


def drawn(model: ModelProto, **data: object) -> Arrays:
    return inputs_of(synthetic(model, **data))


def sizes(model: ModelProto) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in drawn(model).items()}


def identity(*shape: int | str | None, dtype: str = "float32") -> ModelProto:
    nodes = [node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)]
    return model_of(nodes, {"x": shape}, {"y": None}, {}, dtypes={"x": dtype})


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        (("n", 5), (4, 5)),
        ((1, 5), (4, 5)),
        (("n", None, 7), (4, 32, 7)),
        (("n", 3, None, None), (4, 3, 128, 128)),
        (("n", None, 8, 8), (4, 3, 8, 8)),
        (("n", None, None, 3), (4, 128, 128, 3)),
        (("n", 8, "past", 64), (4, 8, 32, 64)),
        ((3, None, None), (4, 3, 128, 128)),
        ((None,), (4,)),
        ((), (4,)),
    ],
)
def test_open_axes_are_filled_in(axes: tuple[int | str | None, ...], shape: tuple[int]) -> None:
    assert drawn(identity(*axes))["x"].shape == shape


def decoder(**axes: list[str | None]) -> ModelProto:
    """Attention of new tokens to past and new ones, with a mask for all of them."""
    nodes = [
        node("Gather", ["table", "ids"], ["g"]),
        node("Concat", ["past", "g"], ["all"], axis=1),
        node("Transpose", ["all"], ["keys"], perm=[0, 2, 1]),
        node("MatMul", ["g", "keys"], ["s"]),
        node("Cast", ["mask"], ["m"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["m", "one"], ["wide"]),
        node("Add", ["s", "wide"], ["masked"]),
        node("Softmax", ["masked"], ["p"], axis=-1),
        node("MatMul", ["p", "all"], ["y"]),
    ]
    inputs = {"ids": ["n", "new"], "mask": ["n", "total"], "past": ["n", "past", 8], **axes}
    weights = {"table": random(20, 8), "one": np.int64([1])}
    return model_of(nodes, inputs, {"y": None}, weights, dtypes={"ids": "int64", "mask": "int64"})


@pytest.mark.parametrize(
    "axes",
    [
        {},
        {"mask": ["n", "past + new"]},
        {"ids": [None, None], "mask": [None, None], "past": [None, None, 8]},
    ],
)
def test_lengths_of_a_mask_and_a_cache_hold_together(axes: dict[str, list[str | None]]) -> None:
    inputs = drawn(decoder(**axes))
    past, new = inputs["past"].shape[1], inputs["ids"].shape[1]
    assert inputs["mask"].shape == (4, past + new)
    assert inputs["mask"].min() == 1
    assert np.unique(inputs["ids"]).max() <= 19


def test_a_state_and_a_rate_are_found() -> None:
    inputs = drawn(two_rates())
    assert inputs["rate"].tolist() == [16] * 4
    assert inputs["x"].shape == (4, 16)


def graph_network(pairs: list[int | str | None], axis: int) -> ModelProto:
    """Sums the features of neighbours: x (k, 5), pairs of nodes."""
    nodes = [
        node("Gather", ["pairs", "zero"], ["from"], axis=axis),
        node("Gather", ["pairs", "one"], ["to"], axis=axis),
        node("Gather", ["x", "from"], ["messages"]),
        node("Shape", ["x"], ["size"]),
        node("ConstantOfShape", ["size"], ["none"]),
        node("Unsqueeze", ["to", "last"], ["rows"]),
        node("ScatterND", ["none", "rows", "messages"], ["sums"]),
        node("MatMul", ["sums", "w"], ["y"]),
    ]
    weights = {"zero": np.int64(0), "one": np.int64(1), "last": np.int64([1]), "w": random(5, 2)}
    return model_of(
        nodes, {"x": [None, 5], "pairs": pairs}, {"y": None}, weights, dtypes={"pairs": "int64"}
    )


@pytest.mark.parametrize(("pairs", "axis"), [([2, None], 0), ([None, 2], 1)])
def test_indices_of_nodes_stay_below_their_number(pairs: list[int | None], axis: int) -> None:
    inputs = drawn(graph_network(pairs, axis))
    assert inputs["x"].shape == (4, 32, 5)
    assert np.unique(inputs["pairs"]).size > 16
    assert inputs["pairs"].max() < 32


def test_positive_numbers_are_drawn_where_negative_ones_give_no_result() -> None:
    nodes = [node("Log", ["x"], ["l"]), node("MatMul", ["l", "w"], ["y"])]
    model = model_of(nodes, {"x": ["n", 4]}, {"y": None}, {"w": random(4, 2)})
    assert drawn(model)["x"].min() >= 0


def test_lengths_that_are_too_short_grow() -> None:
    nodes = [node("Conv", ["x", "w"], ["y"])]
    model = model_of(nodes, {"x": ["n", 1, "time"]}, {"y": None}, {"w": random(2, 1, 400)})
    assert drawn(model)["x"].shape == (4, 1, 512)


def test_images_are_smaller_where_runs_cost_too_much_time() -> None:
    nodes = [node("Conv", ["x", "w"], ["y"], pads=[3] * 4)]
    model = load(
        model_of(nodes, {"x": ["n", 3, "h", "w"]}, {"y": None}, {"w": random(64, 3, 7, 7)})
    )
    in_no_time = Deadline(1e-3)
    rng, data = np.random.default_rng(0), Data(samples=2)
    (group,) = synthetic_samples(model, "m.onnx", data, rng, deadline=in_no_time).groups
    assert group.inputs["x"].shape == (2, 3, 64, 64)


def test_bytes_are_pixels_and_a_range_holds_for_whole_numbers() -> None:
    image = identity("n", 8, 8, 3, dtype="uint8")
    assert np.unique(drawn(image)["x"]).size > 100
    assert drawn(image, input_range=(0, 9))["x"].max() == 9
    assert np.unique(drawn(identity("n", 50, dtype="int64"), input_range=(3, 5))["x"]).tolist() == [
        3,
        4,
        5,
    ]


def test_a_range_does_not_hold_for_indices_and_a_note_says_so() -> None:
    samples = synthetic(decoder(), input_range=(0, 1))
    assert inputs_of(samples)["ids"].max() > 1
    assert inputs_of(samples)["past"].min() >= 0
    assert "does not hold for 'ids' (whole numbers from 0 to 19), 'mask'" in samples.notes[-1]


def test_a_range_without_a_value_of_the_type_is_refused() -> None:
    with pytest.raises(DataError, match="-9 to -3 holds no value of input 'x', which is uint8"):
        drawn(identity("n", 8, 8, 3, dtype="uint8"), input_range=(-9, -3))


def test_a_model_that_runs_with_nothing_that_was_tried_needs_data() -> None:
    nodes = [node("Reshape", ["x", "size"], ["r"]), node("MatMul", ["r", "w"], ["y"])]
    weights = {"size": np.int64([1, 76, 3]), "w": random(3, 2)}
    model = model_of(nodes, {"x": [1, "k", 11]}, {"y": None}, weights)
    with pytest.raises(
        DataError, match=r"^m.onnx: no shapes and .* 'x' float32 \(1, n, 11\): give"
    ):
        drawn(model)


def test_the_note_says_where_the_range_comes_from() -> None:
    (note,) = synthetic(identity("n", 3, 8, 8)).notes
    varied = "every other one with twice the contrast"
    assert f"from about -2 to 2, {varied}, which is a guess (input_range changes that)" in note
    (note,) = synthetic(identity("n", 8, 8, 3, dtype="uint8")).notes
    assert f"from about 0 to 255, {varied}, as their type allows" in note
    nodes = [node("Div", ["x", "c"], ["y"])]
    (note,) = synthetic(model_of(nodes, {"x": ["n", 4]}, {"y": None}, {"c": np.float32(255)})).notes
    assert "from about 0 to 255, which the model's first nodes expect" in note
    (note,) = synthetic(identity("n", 3, 8, 8), input_range=(0, 9)).notes
    assert f"from about 0 to 9, {varied}; a few" in note


def test_the_size_of_the_first_layer_says_the_range_of_images() -> None:
    nodes = [node("Conv", ["x", "k"], ["y"])]
    weights = {"k": np.full((2, 1, 1, 1), 0.01, np.float32)}
    samples = synthetic(model_of(nodes, {"x": ["n", 1, 16, 16]}, {"y": None}, weights))
    assert ", a guess from the size of what the first" in samples.notes[0]


def test_statistics_of_a_batch_normalization_say_the_range() -> None:
    kernel = np.ones((2, 1, 1, 1), np.float32)
    nodes = [
        node("Conv", ["x", "k"], ["c"]),
        node("BatchNormalization", ["c", "one", "zero", "m", "v"], ["y"]),
    ]
    half = np.full(2, 0.5, np.float32)
    weights = {"k": kernel, "one": 2 * half, "zero": 0 * half, "m": half, "v": half**4}
    samples = synthetic(model_of(nodes, {"x": ["n", 1, 16, 16]}, {"y": None}, weights))
    (group,) = samples.groups
    assert (group.inputs["x"].min(), group.inputs["x"].max()) == (0, 1)
    assert ", which fits the statistics of the model's Batch" in samples.notes[0]


def test_preprocessing_without_data_is_refused() -> None:
    with pytest.raises(DataError, match=r"^divide is given, but no data"):
        drawn(identity("n"), divide=255)


def test_draws_depend_on_the_seed_alone() -> None:
    model, data = load(identity("n", 3, 8, 8)), Data(samples=3)
    one, same, other = (
        inputs_of(synthetic_samples(model, "m", data, np.random.default_rng(seed)))["x"]
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_there_are_256_samples_by_default() -> None:
    samples = synthetic_samples(load(identity("n", 2)), "m.onnx", Data(), np.random.default_rng(0))
    assert len(samples) == 256
    assert samples.source == "synthetic inputs"


def test_floats_whose_range_is_a_guess_are_drawn_in_other_ways_too() -> None:
    found = synthetic(identity("n", 40), samples=100)
    assert [len(each) for each in found.otherwise] == [100] + 13 * [16]
    deviations = [float(each.groups[0].inputs["x"].std()) for each in found.otherwise]
    expected = 2 * [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001]
    assert deviations == pytest.approx(expected, rel=0.3)


@pytest.mark.parametrize(
    ("model", "options"),
    [(identity("n", 3, 8, 8), {}), (identity("n", 40), {"input_range": (0, 1)})],
)
def test_images_and_known_ranges_are_not(model: ModelProto, options: dict[str, Any]) -> None:
    assert synthetic(model, samples=100, **options).otherwise == ()

"""Models run over batches of samples, and the batch size that suits a model."""

import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from graphs import mlp, model_of, node, random, run
from onnx import ModelProto

from onnx_evoq.array_types import Array
from onnx_evoq.batch import make_batches, one_group
from onnx_evoq.errors import ModelError
from onnx_evoq.model import input_specs, load
from onnx_evoq.outputs_by_sample import concatenated
from onnx_evoq.score import Session, choose_batch_size, keeps_rows_apart, predict
from onnx_evoq.signature import TensorSpec

SPECS = [TensorSpec("x", np.dtype("float32"), (None, 1))]


def session_of(model: ModelProto) -> Session:
    return Session(model.SerializeToString(), "the test model")


def chosen_size(model: ModelProto, *x: np.ndarray) -> int:
    """The batch size for a model whose inputs get the arrays `x`, in order."""
    specs = input_specs(load(model))
    inputs = {spec.name: values for spec, values in zip(specs, x, strict=True)}
    group = one_group(inputs)
    return choose_batch_size(session_of(model), [group], specs)(group)


def stub(function: Callable[[Array], Any]) -> Session:
    """A stand-in of a session, whose output "y" is a function of its input "x"."""

    class Stub:
        alone = False
        unlike = frozenset[str]()

        def run(self, feed: dict[str, Array]) -> dict[str, Array]:
            return {"y": np.asarray(function(feed["x"]))}

    return cast("Session", Stub())


def rows(function: Callable[[Array], Any], x: list[float] | None = None) -> int:
    """The batch size for a stand-in of a session, whose output "y" is a function of its input."""
    group = one_group(
        {"x": np.float32([[1], [2], [3], [4]] if x is None else [[value] for value in x])}
    )
    return choose_batch_size(stub(function), [group], SPECS)(group)


def test_a_session_that_runs_alone_makes_one_run_at_a_time() -> None:
    running, most = [0], [0]

    def function(x: Array) -> Array:
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(0.01)
        running[0] -= 1
        return x

    batches = make_batches({"x": random(4, 1)}, SPECS, 1)
    for alone in (False, True):
        session, most[0] = stub(function), 0
        session.alone = alone
        assert len(list(predict(session, batches, workers=2))) == 4
        assert (most[0] == 1) == alone


@pytest.mark.parametrize("size", [1, 3, 7, 10])
def test_the_batch_size_changes_no_output(size: int) -> None:
    model, x = load(mlp()), random(7, 4, seed=3)
    batches = make_batches({"x": x}, input_specs(model), size)
    outputs = concatenated(predict(session_of(model), batches))
    np.testing.assert_allclose(outputs["logits"], run(model, {"x": x})["logits"], rtol=1e-5)


def test_a_prescribed_batch_is_padded_and_its_outputs_are_cut() -> None:
    model, x = load(mlp(batch=4)), random(7, 4, seed=3)
    assert chosen_size(model, x) == 4
    batches = make_batches({"x": x}, input_specs(model), 4)
    parts = [part["logits"] for part in predict(session_of(model), batches)]
    assert [len(part) for part in parts] == [4, 3]
    np.testing.assert_allclose(np.concatenate(parts), run(mlp(), {"x": x})["logits"], rtol=1e-5)


def test_batches_are_run_one_after_the_other_as_they_are_taken() -> None:
    model = load(mlp())
    batches = make_batches({"x": random(3, 4)}, input_specs(model), 1)
    batches[1].feed["x"] = random(1, 5)  # cannot be run
    outputs = predict(session_of(model), batches)
    assert next(outputs)["logits"].shape == (1, 3)


@pytest.mark.parametrize(
    ("values", "size"),
    [(4, 512), (390, 512), (400, 256), (784, 128), (12_500, 16), (24_000, 8), (300_000, 8)],
)
def test_a_batch_has_about_200_000_values_and_8_to_512_samples(values: int, size: int) -> None:
    model = model_of([node("Relu", ["x"], ["y"])], {"x": ["n", values]}, {"y": None}, {})
    assert chosen_size(model, np.zeros((2, values), np.float32)) == size


def test_the_values_of_all_inputs_count() -> None:
    nodes = [node("Relu", ["x"], ["y"]), node("Relu", ["a"], ["b"])]
    inputs = {"x": ["n", 40, 10], "a": ["n", 384]}
    model = model_of(nodes, inputs, {"y": None, "b": None}, {})
    x, a = np.zeros((2, 40, 10), np.float32), np.zeros((2, 384), np.float32)
    assert chosen_size(model, x, a) == 128


def test_one_sample_is_a_batch() -> None:
    assert chosen_size(mlp(), random(1, 4)) == 1
    assert chosen_size(mlp(), random(2, 4)) == 512


def test_each_group_has_a_size_of_its_own() -> None:
    model = model_of([node("Relu", ["x"], ["y"])], {"x": ["n", "t"]}, {"y": None}, {})
    groups = [one_group({"x": np.zeros((count, t), np.float32)}) for count, t in ((3, 784), (1, 4))]
    size_of = choose_batch_size(session_of(model), groups, input_specs(model))
    assert [size_of(group) for group in groups] == [128, 512]


def test_samples_of_one_shape_each_are_run_one_by_one() -> None:
    groups = [one_group({"x": random(1, size)}) for size in (4, 5)]
    size_of = choose_batch_size(session_of(mlp()), groups, input_specs(mlp()))
    assert [size_of(group) for group in groups] == [1, 1]


@pytest.mark.parametrize(
    ("function", "apart"),
    [
        (lambda x: 2 * x, True),
        (lambda x: x * (1 + 0.01 * x.max()), True),  # as with the range of a whole batch
        (lambda x: x.astype(np.int64), True),
        (lambda x: x.astype(np.int64) + len(x), False),
        (lambda x: np.cumsum(x, axis=0), False),  # the last row depends on the others
        (lambda x: np.flip(np.cumsum(np.flip(x, 0), axis=0), 0), False),
        (lambda x: x.mean(axis=0, keepdims=True), False),
        (lambda x: x.mean(), False),
    ],
)
def test_rows_that_the_model_mixes_are_no_samples(
    function: Callable[[Array], Any], apart: bool
) -> None:
    feed = {"x": np.float32([[1], [2], [4]])}
    assert keeps_rows_apart(stub(function), feed) == apart


def failing_on(rows: int, function: Callable[[Array], Any]) -> Session:
    def limited(x: Array) -> Any:
        if len(x) == rows:
            raise ModelError("no")
        return function(x)

    return stub(limited)


def test_rows_are_samples_if_the_model_takes_them_only_one_by_one() -> None:
    assert keeps_rows_apart(failing_on(3, np.cumsum), {"x": np.float32([[1], [2], [4]])})


@pytest.mark.parametrize(
    ("function", "apart"),
    [
        (lambda x: 2 * x, True),
        (lambda x: np.cumsum(x, axis=0), False),
        (lambda x: np.flip(np.cumsum(np.flip(x, 0), axis=0), 0), False),
        (lambda x: x.max(axis=0, keepdims=True), False),
    ],
)
def test_rows_of_a_prescribed_number_are_compared_with_copies_of_themselves(
    function: Callable[[Array], Any], apart: bool
) -> None:
    feed = {"x": np.float32([[1], [2], [4]])}
    assert keeps_rows_apart(failing_on(1, function), feed) == apart


def test_a_model_that_mixes_samples_takes_one_at_a_time() -> None:
    nodes = [node("ReduceMean", ["x"], ["mean"], axes=[0]), node("Sub", ["x", "mean"], ["y"])]
    model = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, {})
    assert chosen_size(model, random(7, 4)) == 1


def test_a_mixture_is_noticed_where_neighbours_are_equal() -> None:
    assert rows(lambda x: x - x.mean(), [1, 1, 2, 2]) == 1


def test_a_model_with_a_batch_size_in_its_reshape_takes_one_sample_at_a_time() -> None:
    nodes = [node("Reshape", ["x", "shape"], ["y"])]
    model = model_of(nodes, {"x": ["n", 4]}, {"y": [1, 2, 2]}, {"shape": np.array([1, 2, 2])})
    assert chosen_size(model, random(7, 4)) == 1


def test_rounding_errors_are_no_mixture() -> None:
    assert rows(lambda x: x * (1 + 2e-4 * len(x))) == 512
    assert rows(lambda x: 0 * x + 2e-5 * len(x)) == 512


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * (1 + 0.01 * len(x)),
        lambda x: 0 * x + 0.001 * len(x),
        lambda x: x + (len(x) == 2) * np.float32([[1], [0]])[: len(x)],
        lambda x: x + (len(x) == 2) * np.float32([[0], [1]])[: len(x)],
        lambda x: np.repeat(x, len(x), axis=1),
    ],
    ids=["relative", "absolute", "in the first", "in the second", "in the shape"],
)
def test_any_other_difference_is_a_mixture(function: Callable[[Array], Any]) -> None:
    assert rows(function) == 1


def test_whole_numbers_must_be_equal() -> None:
    assert rows(lambda x: x.astype(np.int64)) == 512
    assert rows(lambda x: 10**6 * x.astype(np.int64) + len(x)) == 1
    assert rows(lambda x: np.int64([[1, len(x)]] * len(x))) == 1


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_batches_side_by_side_have_the_same_outputs_in_their_order(workers: int) -> None:
    model, x = load(mlp()), random(40, 4, seed=3)
    batches = make_batches({"x": x}, input_specs(model), 3)
    alone, found = (
        concatenated(predict(session_of(model), batches, n))["logits"] for n in (1, workers)
    )
    np.testing.assert_array_equal(found, alone)


@pytest.mark.parametrize(
    ("weights", "size"),
    [(0, 512), (10**6, 512), (10**7, 256), (2 * 10**7, 128), (10**9, 4), (10**11, 1)],
)
def test_large_models_take_few_samples_at_a_time(weights: int, size: int) -> None:
    model = load(mlp())  # of 4 values a sample: each weight counts twice, the root of that
    group = one_group({"x": random(4, 4)})
    size_of = choose_batch_size(session_of(model), [group], input_specs(model), weights)
    assert size_of(group) == size

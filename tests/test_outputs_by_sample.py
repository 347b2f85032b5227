"""Outputs of batches, cut into those of samples, and joined again."""

import numpy as np
import pytest

from onnx_evoq.batch import Batch, Group, batches_of, make_batches, one_group
from onnx_evoq.errors import ModelError
from onnx_evoq.outputs_by_sample import (
    boxed,
    check_shapes,
    concatenated,
    in_order_of_samples,
    per_sample,
)
from onnx_evoq.signature import TensorSpec

ROWS = np.arange(10, dtype=np.float32).reshape(5, 2)
OPEN = [TensorSpec("x", np.dtype("float32"), (None, None))]


def of_group(number: int) -> Batch:
    return Batch({}, 2, 2, group=number)


def rows_of(output: np.ndarray, size: int, count: int) -> np.ndarray:
    return per_sample("logits", output, Batch({}, size, count))


def test_repeated_samples_are_taken_off_the_output() -> None:
    assert rows_of(np.arange(6).reshape(3, 2), 3, 2).tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize("shape", [(), (4,), (3, 2)])
def test_output_of_one_sample_without_a_batch_axis_gets_one(shape: tuple[int, ...]) -> None:
    assert rows_of(np.zeros(shape), 1, 1).shape == (1, *shape)


def test_output_of_one_sample_keeps_its_batch_axis() -> None:
    assert rows_of(np.zeros((1, 4)), 1, 1).shape == (1, 4)


def test_output_with_several_rows_per_sample_is_cut_by_sample() -> None:
    output = np.arange(12).reshape(6, 2)  # three samples of two rows
    expected = [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    assert rows_of(output, 3, 2).tolist() == expected


@pytest.mark.parametrize("shape", [(), (4, 2), (0, 2), (2,)])
def test_output_that_is_no_multiple_of_the_batch_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ModelError, match=r"'logits' has shape \(.*\) for a batch of 3: export .* batch dimension"
    ):
        rows_of(np.zeros(shape), 3, 3)


def test_cut_and_rejoined_samples_are_the_same() -> None:
    specs = [TensorSpec("x", np.dtype("float32"), (2, 2))]
    batches = make_batches({"x": ROWS}, specs, 2)
    rejoined = [per_sample("x", batch.feed["x"], batch) for batch in batches]
    assert np.concatenate(rejoined).tolist() == ROWS.tolist()


def test_joined_outputs_are_those_of_all_samples() -> None:
    batches = iter([{"y": np.ones((2, 3))}, {"y": np.zeros((1, 3))}])
    assert concatenated(batches)["y"].tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0]]


def test_outputs_of_several_shapes_are_objects_one_for_each_sample() -> None:
    joined = concatenated([{"y": np.ones((2, 3))}, {"y": np.zeros((1, 4))}])["y"]
    assert joined.dtype == object
    assert [sample.tolist() for sample in joined] == [[1, 1, 1], [1, 1, 1], [0, 0, 0, 0]]


def test_an_axis_of_one_that_was_taken_for_the_samples_comes_back() -> None:
    # The nodes of two graphs: of the second, which has one, the first axis was taken off.
    joined = concatenated([{"y": np.ones((1, 2, 3))}, {"y": np.ones((1, 3))}])["y"]
    assert [sample.shape for sample in joined] == [(2, 3), (1, 3)]


def test_an_output_that_changes_its_shape_within_a_group_is_named() -> None:
    outputs = [{"y": np.ones((2, 4))}, {"y": np.zeros((2, 3))}]
    with pytest.raises(
        ModelError, match=r"output 'y' changes its shape .* \(\(3,\) and \(4,\)\): name"
    ):
        check_shapes(outputs, [of_group(1), of_group(1)], ["y"])


def test_outputs_of_two_groups_may_differ_in_shape() -> None:
    check_shapes(
        [{"y": np.ones((2, 3))}, {"y": np.zeros((2, 4))}], [of_group(0), of_group(1)], ["y"]
    )


def test_batches_may_differ_in_their_number_of_samples() -> None:
    check_shapes(
        [{"y": np.ones((2, 3))}, {"y": np.zeros((1, 3))}], [of_group(0), of_group(0)], ["y"]
    )


def test_outputs_come_in_the_order_of_the_samples() -> None:
    groups = [
        Group({"x": np.repeat(np.array(places)[:, None], length, axis=1)}, np.array(places))
        for length, places in ((3, [0, 2, 5, 7, 8]), (4, [1, 3, 4, 6]))
    ]
    batches = batches_of(groups, OPEN, lambda group: 4)
    outputs = [{"y": batch.feed["x"][: batch.count]} for batch in batches]
    parts = in_order_of_samples(outputs, batches)
    assert [part["y"][0, 0] for part in parts] == list(range(9))
    cut = batches_of([one_group({"x": ROWS})], OPEN, lambda group: 3)
    (alone,) = in_order_of_samples([{"y": ROWS[:3]}, {"y": ROWS[3:]}], cut)
    assert alone["y"].tolist() == ROWS.tolist()


def test_outputs_that_the_graph_tells_of_are_not_checked() -> None:
    outputs = [{"y": np.ones((2, 4))}, {"y": np.zeros((2, 3))}]
    check_shapes(outputs, [of_group(1), of_group(1)], [])


def test_rows_that_are_no_samples_are_what_a_run_gave() -> None:
    (of_sample,) = per_sample("y", np.ones((3, 2)), Batch({}, 1, 1), unlike=True)
    assert of_sample.tolist() == [[1, 1]] * 3
    (of_sample,) = per_sample("y", boxed({"a": 1}), Batch({}, 1, 1), unlike=True)
    assert of_sample == {"a": 1}

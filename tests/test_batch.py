"""Samples cut into batches."""

import numpy as np
import pytest

from onnx_evoq.batch import (
    Batch,
    Group,
    batches_of,
    fixed_batch_size,
    listed,
    make_batches,
    mean_length,
    one_group,
    places_of,
)
from onnx_evoq.signature import TensorSpec

ROWS = np.arange(10, dtype=np.float32).reshape(5, 2)


def spec(*shape: int | None, name: str = "x") -> TensorSpec:
    return TensorSpec(name, np.dtype("float32"), shape)


def cut(size: int, *specs: TensorSpec) -> list[Batch]:
    return make_batches({"x": ROWS, "z": -ROWS}, specs, size)


@pytest.mark.parametrize(("size", "counts"), [(1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (9, [5])])
def test_last_feed_of_a_free_batch_is_shorter(size: int, counts: list[int]) -> None:
    batches = cut(size, spec(None, 2))
    assert [batch.count for batch in batches] == counts
    assert [batch.size for batch in batches] == counts
    assert np.concatenate([batch.feed["x"] for batch in batches]).tolist() == ROWS.tolist()


def test_all_inputs_are_cut_at_the_same_samples() -> None:
    for batch in cut(2, spec(None, 2), spec(None, 2, name="z")):
        assert batch.feed["z"].tolist() == (-batch.feed["x"]).tolist()


def test_fixed_batch_is_filled_with_the_last_sample() -> None:
    first, last = cut(3, spec(3, 2))
    assert first.feed["x"].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert last.feed["x"].tolist() == [[6, 7], [8, 9], [8, 9]]
    assert (last.size, last.count) == (3, 2)


def test_fewer_samples_than_the_fixed_batch_fill_one_feed() -> None:
    (batch,) = cut(8, spec(8, 2))
    assert batch.feed["x"].shape == (8, 2)
    assert (batch.size, batch.count) == (8, 5)


@pytest.mark.parametrize(
    ("wanted", "size"),
    [
        ([spec(None, 2)], None),
        ([spec(4, 2)], 4),
        ([spec(None, 2), spec(4, 2, name="z")], 4),
        ([spec(3, 2), spec(4, 2, name="z")], 3),
        ([TensorSpec("x", np.dtype("float32"), None)], None),
        ([], None),
    ],
)
def test_batch_size_is_the_first_axis_that_a_model_states(
    wanted: list[TensorSpec], size: int | None
) -> None:
    assert fixed_batch_size({"x": ROWS, "z": ROWS}, wanted) == size


def test_extra_axis_holds_a_whole_feed_per_sample() -> None:
    feeds = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    assert fixed_batch_size({"x": feeds}, [spec(None, 2)]) == 1
    batches = make_batches({"x": feeds}, [spec(None, 2)], 1)
    assert [batch.feed["x"].tolist() for batch in batches] == feeds.tolist()
    assert [(batch.size, batch.count) for batch in batches] == [(1, 1)] * 3


def test_scalar_input_gets_one_number_per_feed() -> None:
    batches = make_batches({"x": np.float32([7, 8])}, [spec()], 1)
    assert [batch.feed["x"].shape for batch in batches] == [(), ()]
    assert [float(batch.feed["x"]) for batch in batches] == [7, 8]


def test_whole_feed_beside_a_batched_input_keeps_its_batch_axis() -> None:
    inputs = {"x": ROWS, "z": np.arange(15, dtype=np.float32).reshape(5, 3)}
    batches = make_batches(inputs, [spec(None, 2), spec(3, name="z")], 1)
    assert batches[4].feed["x"].tolist() == [[8, 9]]
    assert batches[4].feed["z"].tolist() == [12, 13, 14]


def test_batches_end_at_given_numbers_of_samples() -> None:
    x = np.arange(10.0, dtype=np.float32)[:, None]
    open_batch = TensorSpec("x", np.dtype("float32"), (None, 1))
    batches = make_batches({"x": x}, [open_batch], 4, ends=(3, 8, 100))
    assert [batch.count for batch in batches] == [3, 4, 1, 2]
    assert (
        np.concatenate([batch.feed["x"] for batch in batches]).ravel().tolist()
        == x.ravel().tolist()
    )


def test_a_prescribed_batch_size_goes_before_given_ends() -> None:
    x = np.zeros((10, 1), np.float32)
    fixed = TensorSpec("x", np.dtype("float32"), (4, 1))
    batches = make_batches({"x": x}, [fixed], 4, ends=(3, 8))
    assert [batch.count for batch in batches] == [4, 4, 2]


def test_a_model_without_inputs_has_one_empty_batch() -> None:
    (batch,) = make_batches({}, [], 4)
    assert (batch.feed, batch.size, batch.count) == ({}, 1, 1)


def test_samples_without_padding_are_not_copied() -> None:
    first, last = cut(3, spec(None, 2))
    assert np.shares_memory(first.feed["x"], ROWS)
    assert np.shares_memory(last.feed["x"], ROWS)


def mixed(counts: dict[int, int], seed: int = 0) -> list[Group]:
    """Groups of so many samples by their length, in random order; a sample holds its place."""
    lengths = np.random.default_rng(seed).permutation(
        np.repeat(list(counts), list(counts.values()))
    )
    groups = []
    for length in counts:
        places = np.flatnonzero(lengths == length)
        groups.append(Group({"x": np.repeat(places[:, None], length, axis=1)}, places))
    return groups


OPEN = [spec(None, None)]


def test_a_batch_holds_samples_of_one_group() -> None:
    batches = batches_of(mixed({3: 10, 4: 5, 5: 1}), OPEN, lambda group: 4)
    assert sorted(np.concatenate([batch.places for batch in batches])) == list(range(16))
    for batch in batches:
        assert (batch.feed["x"] == batch.places[:, None]).all()
        assert batch.feed["x"].shape[1] == 3 + batch.group


def test_as_many_samples_as_wanted_come_first_whatever_their_group() -> None:
    batches = batches_of(mixed({3: 70, 4: 40, 5: 18}), OPEN, lambda group: 512, [32, 64])
    totals = np.cumsum([batch.count for batch in batches])
    assert {32, 64, 128} <= set(totals.tolist())
    first = np.concatenate([batch.places for batch in batches[: int(np.argmax(totals == 32)) + 1]])
    assert sorted(first) == list(range(32))


def test_one_group_is_cut_as_if_there_were_no_groups() -> None:
    x = np.zeros((10, 2), np.float32)
    alone = batches_of([one_group({"x": x})], OPEN, lambda group: 4, (3, 8))
    expected = make_batches({"x": x}, OPEN, 4, (3, 8))
    assert [batch.count for batch in alone] == [batch.count for batch in expected]
    assert places_of(alone).tolist() == list(range(10))


def test_each_group_has_its_own_batch_size() -> None:
    batches = batches_of(mixed({3: 8, 4: 8}), OPEN, lambda group: group.values)
    assert {batch.feed["x"].shape for batch in batches} == {(3, 3), (2, 3), (4, 4)}


def test_length_is_the_number_of_input_values_of_a_sample() -> None:
    short, long = (Batch({"x": np.zeros((2, n)), "m": np.zeros((2, 1))}, 2, 2) for n in (3, 9))
    assert (short.length, long.length) == (4, 10)
    assert mean_length([short, short, long]) == 6
    assert Batch({"x": np.zeros((1, 0))}, 1, 1).length == 1


def test_the_first_samples_of_a_batch_keep_their_places() -> None:
    (batch,) = batches_of([one_group({"x": ROWS})], [spec(None, 2)], lambda group: 5)
    few = batch.first(2)
    assert (few.size, few.count, few.places.tolist()) == (2, 2, [0, 1])
    assert few.feed["x"].tolist() == ROWS[:2].tolist()
    assert batch.first(5) is batch


def test_samples_of_one_shape_are_one_array() -> None:
    assert listed([np.ones(2), np.zeros(2)]).tolist() == [[1, 1], [0, 0]]


def test_samples_of_several_shapes_are_objects() -> None:
    both = listed([np.ones(2), np.zeros(3)])
    assert (both.dtype, both.shape) == (object, (2,))
    assert [each.tolist() for each in both] == [[1, 1], [0, 0, 0]]

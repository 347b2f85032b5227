"""Samples and their split into a search set and a held-out set."""

from dataclasses import replace

import numpy as np
import pytest
from sample_groups import inputs_of

from onnx_evoq.batch import Group, one_group
from onnx_evoq.data import Samples, split
from onnx_evoq.errors import DataError


def numbered(count: int) -> Samples:
    rows = np.arange(count, dtype=np.float32)
    return Samples(
        [one_group({"a": rows[:, None], "b": -rows})], np.arange(count), ("a note",), "calib.npz"
    )


def parts(count: int, holdout: float, seed: int = 0) -> tuple[list[int], list[int]]:
    """The labels, which are the rows' numbers, of the search set and the held-out set."""
    found = split(numbered(count), holdout, np.random.default_rng(seed))
    search, held = (part.labels for part in found)
    assert search is not None
    assert held is not None
    return search.tolist(), held.tolist()


def test_length_is_the_number_of_samples() -> None:
    assert len(numbered(7)) == 7


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("count", [1, 2, 7, 50])
def test_another_order_keeps_inputs_and_labels_together(count: int, own: bool) -> None:
    given = replace(numbered(count), own=own)
    order = np.random.default_rng(count).permutation(count)
    found = given.reordered(order)
    assert inputs_of(found)["a"][:, 0].tolist() == order.tolist()
    assert inputs_of(found)["b"].tolist() == (-order).tolist()
    assert found.labels is not None
    assert found.labels.tolist() == order.tolist()
    assert (found.notes, found.source) == (("a note",), "calib.npz")


def test_texts_are_reordered() -> None:
    texts = np.array(["a", "b", "c"], object)
    given = Samples((Group({"x": texts}, np.arange(3)),), None, (), "texts", own=True)
    assert given.reordered(np.array([2, 0, 1])).groups[0].inputs["x"].tolist() == ["c", "a", "b"]


def test_only_inputs_of_their_own_are_reordered_in_place() -> None:
    for own in (False, True):
        given = replace(numbered(5), own=own)
        found = given.reordered(np.array([4, 0, 1, 2, 3]))
        assert np.shares_memory(inputs_of(found)["a"], inputs_of(given)["a"]) == own
        assert (inputs_of(given)["a"][0, 0] == 0) == (not own)


def test_a_part_is_no_copy() -> None:
    given = numbered(5)
    part = given.part(3, 5)
    assert inputs_of(part)["a"].tolist() == [[3], [4]]
    assert np.shares_memory(inputs_of(part)["a"], inputs_of(given)["a"])
    assert part.labels is not None
    assert part.labels.tolist() == [3, 4]
    assert Samples([one_group({"a": np.ones((3, 1))})]).part(0, 1).labels is None


@pytest.mark.parametrize(
    ("count", "holdout", "held"),
    [(100, 0.25, 25), (10, 0.5, 5), (2, 0.25, 1), (8, 0.01, 1), (8, 0.99, 7)],
)
def test_held_out_share_is_kept_with_one_at_least_on_each_side(
    count: int, holdout: float, held: int
) -> None:
    search, heldout = parts(count, holdout)
    assert (len(search), len(heldout)) == (count - held, held)


def test_split_is_disjoint_and_complete() -> None:
    search, held = parts(40, 0.3)
    assert sorted(search + held) == list(range(40))


def test_the_first_samples_of_a_set_stand_for_all_of_it() -> None:
    search, _ = parts(1000, 0.2)
    quarters = np.bincount(np.array(search[:400]) // 250, minlength=4)
    assert quarters.min() > 70  # 100 expected; 70 is more than three deviations below


def test_held_out_samples_are_drawn_from_everywhere() -> None:
    _, held = parts(1000, 0.25)
    quarters = np.bincount(np.array(held) // 250, minlength=4)
    assert quarters.sum() == 250
    assert quarters.min() > 40  # 62.5 expected; 40 is more than three deviations below


def test_split_depends_on_the_seed_alone() -> None:
    assert parts(40, 0.3, seed=1) == parts(40, 0.3, seed=1)
    assert parts(40, 0.3, seed=1) != parts(40, 0.3, seed=2)


def test_one_sample_cannot_be_split() -> None:
    with pytest.raises(DataError, match=r"calib\.npz: one sample cannot be split.*at least two"):
        split(numbered(1), 0.25, np.random.default_rng(0))


def test_a_split_of_given_arrays_leaves_them_as_they_are() -> None:
    rows = np.arange(20, dtype=np.float32)
    split(Samples([one_group({"a": rows})]), 0.25, np.random.default_rng(0))
    assert rows.tolist() == list(range(20))


def of_lengths(lengths: list[int]) -> Samples:
    """Samples of these lengths, each filled with its place, which is its label, too."""
    groups = []
    for length in dict.fromkeys(lengths):
        places = np.flatnonzero(np.array(lengths) == length)
        groups.append(Group({"x": np.repeat(places[:, None], length, axis=1)}, places))
    return Samples(groups, np.arange(len(lengths)), own=True)


def places_and_lengths(samples: Samples) -> dict[int, tuple[int, int]]:
    """For each place in `samples`, the place that the sample had before, and its length."""
    return {
        int(place): (int(row[0]), len(row))
        for group in samples.groups
        for place, row in zip(group.places, group.inputs["x"], strict=True)
    }


@pytest.mark.parametrize("own", [False, True])
def test_groups_are_reordered_and_keep_their_labels(own: bool) -> None:
    lengths = [3, 4, 3, 5, 4, 3]
    given = replace(of_lengths(lengths), own=own)
    order = np.array([4, 0, 5, 3, 1, 2])
    found = given.reordered(order)
    assert found.labels is not None
    assert found.labels.tolist() == order.tolist()
    known = places_and_lengths(found)
    assert [known[place] for place in range(6)] == [(old, lengths[old]) for old in order]
    assert all((np.diff(group.places) > 0).all() for group in found.groups)


def test_a_part_leaves_out_groups_that_have_no_sample_in_it() -> None:
    part = of_lengths([3, 4, 3, 5]).part(2, 4)
    assert len(part) == 2
    assert places_and_lengths(part) == {0: (2, 3), 1: (3, 5)}


@pytest.mark.parametrize("seed", range(3))
def test_both_sets_have_short_and_long_samples(seed: int) -> None:
    lengths = np.random.default_rng(9).integers(1, 100, 80).tolist()
    found = split(of_lengths(lengths), 0.25, np.random.default_rng(seed))
    search, held = ([length for _, length in places_and_lengths(part).values()] for part in found)
    assert (len(search), len(held)) == (60, 20)
    assert sorted(search + held) == sorted(lengths)
    # One of each four neighbours by length is held out.
    quarters = np.quantile(lengths, [0.25, 0.5, 0.75])
    assert np.bincount(np.searchsorted(quarters, held), minlength=4).tolist() == pytest.approx(
        [5] * 4, abs=1
    )


def test_samples_of_several_shapes_are_in_random_order() -> None:
    search, held = split(of_lengths([1] * 50 + [2] * 50), 0.2, np.random.default_rng(0))
    for part in (search, held):
        known = places_and_lengths(part)
        first = [known[place][1] for place in range(len(part) // 2)]
        assert 1.2 < np.mean(first) < 1.8

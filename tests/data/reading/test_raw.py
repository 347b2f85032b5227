"""Samples grouped by their shape."""

import numpy as np

from onnx_evoq.batch import Group
from onnx_evoq.data.reading.raw import first, grouped, joined


def parts(*lengths: int) -> list[dict[str, np.ndarray]]:
    """One sample of each length, filled with its number."""
    return [{"x": np.full((1, length), k)} for k, length in enumerate(lengths)]


def test_samples_of_one_shape_come_together_with_their_places() -> None:
    groups = grouped(parts(3, 5, 3, 4, 5))
    assert [group.places.tolist() for group in groups] == [[0, 2], [1, 4], [3]]
    for group in groups:
        assert group.inputs["x"][:, 0].tolist() == group.places.tolist()


def test_all_inputs_must_have_the_same_shape() -> None:
    alike = {"a": np.ones((2, 3)), "b": np.ones((2, 1))}
    other = {"a": np.ones((1, 3)), "b": np.ones((1, 2))}
    assert [group.places.tolist() for group in grouped([alike, other])] == [[0, 1], [2]]


def test_groups_that_came_to_have_one_shape_are_joined_in_the_order_of_their_samples() -> None:
    places = np.array([0, 3]), np.array([1, 2])
    (group,) = joined([Group({"x": at[:, None]}, at) for at in places])
    assert group.places.tolist() == [0, 1, 2, 3]
    assert group.inputs["x"].ravel().tolist() == [0, 1, 2, 3]


def test_a_group_alone_is_not_copied() -> None:
    group = Group({"x": np.ones((2, 3))}, np.arange(2))
    assert joined([group])[0] is group


def test_the_first_samples_are_those_of_all_groups() -> None:
    some = first(grouped(parts(3, 5, 3, 4, 5)), 3)
    assert [group.places.tolist() for group in some] == [[0, 2], [1]]
    assert [group.inputs["x"].shape for group in some] == [(2, 3), (1, 5)]

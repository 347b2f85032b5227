"""Sets of channel ids, against unions worked by hand."""

import numpy as np

from onnx_evoq.model.channels.disjoint_sets import PINNED, ZERO, DisjointSets, IdTensor


def ids(*values: int) -> IdTensor:
    return np.array(values, np.int32)


def test_new_ids_follow_zero_and_pinned() -> None:
    sets = DisjointSets()
    assert sets.new_ids(2).tolist() == [2, 3]
    assert sets.new_ids(3).tolist() == [4, 5, 6]
    assert sets.new_ids(1).dtype == np.int32


def test_a_new_id_is_in_a_set_of_its_own() -> None:
    sets = DisjointSets()
    new = sets.new_ids(3)
    assert sets.roots(new).tolist() == [2, 3, 4]
    assert not sets.are_pinned(new)


def test_terms_of_a_sum_are_united_position_by_position() -> None:
    sets = DisjointSets()
    one, other = sets.new_ids(2), sets.new_ids(2)
    total = sets.united([one, other])
    assert sets.roots(one).tolist() == sets.roots(other).tolist() == [2, 3]
    assert sets.roots(total).tolist() == [2, 3]


def test_unions_are_transitive() -> None:
    sets = DisjointSets()
    new = sets.new_ids(5)
    for first, second in ((3, 4), (1, 2), (2, 3)):
        sets.united([new[first : first + 1], new[second : second + 1]])
    assert sets.roots(new).tolist() == [2, 3, 3, 3, 3]


def test_three_terms_are_united() -> None:
    sets = DisjointSets()
    new = sets.new_ids(4)
    sets.united([new[:1], new[1:2], new[2:3]])
    assert sets.roots(new).tolist() == [2, 2, 2, 5]


def test_a_term_that_broadcasts_unites_all_positions() -> None:
    sets = DisjointSets()
    row, one = sets.new_ids(3), sets.new_ids(1)
    total = sets.united([np.broadcast_to(row, (2, 3)), one])
    assert total.shape == (2, 3)
    assert sets.roots(row).tolist() == [2, 2, 2]


def test_a_sum_of_one_term_has_its_ids() -> None:
    sets = DisjointSets()
    assert sets.united([sets.new_ids(2)]).tolist() == [2, 3]


def test_a_sum_with_zeros_over_an_axis_has_the_other_ids() -> None:
    sets = DisjointSets()
    (new,) = sets.new_ids(1).tolist()
    assert sets.united_along(ids(ZERO, new, ZERO), [0]).tolist() == [new]


def test_zero_takes_the_id_of_the_other_term() -> None:
    sets = DisjointSets()
    new = sets.new_ids(2)
    assert sets.united([ids(ZERO, ZERO), new]).tolist() == [2, 3]
    assert sets.united([new, ids(ZERO, ZERO)]).tolist() == [2, 3]
    assert sets.roots(new).tolist() == [2, 3]
    assert sets.roots(ids(ZERO, PINNED)).tolist() == [ZERO, PINNED]


def test_pinned_ids_have_pinned_as_their_root() -> None:
    sets = DisjointSets()
    new = sets.new_ids(3)
    sets.pin(new[1:2])
    assert sets.roots(new).tolist() == [2, PINNED, 4]
    assert not sets.are_pinned(new)
    assert sets.are_pinned(new[1:2])
    assert sets.are_pinned(ids(ZERO, PINNED))


def test_an_id_united_with_a_pinned_one_is_pinned() -> None:
    sets = DisjointSets()
    new = sets.new_ids(2)
    sets.united([new[:1], new[1:]])
    sets.pin(new[1:])
    assert sets.are_pinned(new)


def test_a_sum_over_an_axis_unites_the_ids_along_it() -> None:
    sets = DisjointSets()
    new = sets.new_ids(6).reshape(2, 3)
    total = sets.united_along(new, [1])
    assert total.shape == (2, 1)
    assert sets.roots(new).tolist() == [[2, 2, 2], [5, 5, 5]]
    assert sets.roots(total).tolist() == [[2], [5]]


def test_a_sum_over_positions_keeps_an_id_per_channel() -> None:
    sets = DisjointSets()
    channels = np.broadcast_to(sets.new_ids(3).reshape(3, 1), (3, 1000))
    total = sets.united_along(channels, [1])
    assert total.shape == (3, 1)
    assert sets.roots(total).tolist() == [[2], [3], [4]]


def test_a_sum_over_no_axes_unites_nothing() -> None:
    sets = DisjointSets()
    new = sets.new_ids(3)
    assert sets.united_along(new, []).tolist() == [2, 3, 4]
    assert sets.roots(new).tolist() == [2, 3, 4]


def test_ids_that_repeat_along_an_axis_take_memory_once() -> None:
    sets = DisjointSets()
    channels = np.broadcast_to(sets.new_ids(3).reshape(3, 1), (3, 1000))
    total = sets.united([channels, np.broadcast_to(np.int32(PINNED), (3, 1000))])
    assert total.shape == (3, 1000)
    assert total.strides[1] == 0
    assert sets.are_pinned(total)

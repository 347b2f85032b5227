"""Values are held once, as long as something refers to them."""

import numpy as np
import pytest

from onnx_evoq.executors.held_values import HeldValues


def test_the_same_object_has_one_reference_and_equal_ones_have_one_key() -> None:
    values, array = HeldValues(), np.arange(4)
    one, other, equal = values.hold(array), values.hold(array), values.hold(np.arange(4))
    assert one is other
    assert equal is not one
    assert equal.key == one.key
    assert values[one.key].references == 2
    assert values[one.key].size >= array.nbytes
    assert values.hold(np.arange(5)).key != one.key


def test_references_in_a_value_are_held_with_it() -> None:
    values = HeldValues()
    inner = values.hold([1, 2])
    outer = values.hold((inner, "text"))
    assert set(values.closure([outer])) == {inner.key, outer.key}
    assert values.closure([inner]) == [inner.key]


def test_a_value_without_references_is_forgotten() -> None:
    values = HeldValues()
    one, other = values.hold([1]), values.hold([2])
    keys = one.key, other.key
    del one
    values.let_go()
    with pytest.raises(KeyError):
        values[keys[0]]
    assert values[keys[1]].value == [2]

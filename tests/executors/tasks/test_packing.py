"""Values as bytes: the same ones back, references apart, arrays aligned."""

from typing import Any

import numpy as np
import pytest

from onnx_evoq.executors import Reference
from onnx_evoq.executors.tasks.packing import key_of, packed, parts_of, unpacked


@pytest.mark.parametrize(
    "value",
    [
        None, 3, "text", {"a": [1, 2.5], "b": (b"x",)},
        np.arange(5, dtype=np.int8), np.array(2.5), np.zeros((0, 3), np.float32),
        np.arange(24, dtype=np.float16).reshape(2, 3, 4)[:, ::2],
        np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.array(["a", None], object),
    ],
)  # fmt: skip
def test_a_value_comes_back(value: Any) -> None:
    found = unpacked(packed(parts_of(value)[0]))
    assert type(found) is type(value)
    np.testing.assert_array_equal(found, value)
    if isinstance(value, np.ndarray):
        assert (found.dtype, found.shape) == (value.dtype, value.shape)


def test_several_arrays_come_back_aligned_and_read_only_wherever_the_bytes_are() -> None:
    value = [np.arange(n, dtype=np.float32) for n in (3, 100, 1)]
    whole = packed(parts_of(value)[0])
    for shift in (0, 1, 64):
        room = np.zeros(whole.size + shift, np.uint8)
        room[shift:] = whole
        for array, expected in zip(unpacked(room[shift:]), value, strict=True):
            np.testing.assert_array_equal(array, expected)
            assert array.ctypes.data % 64 == 0
            assert not array.flags.writeable


def test_references_are_their_keys_and_are_noted() -> None:
    inner, large = Reference("one", (5,)), Reference("two", (np.zeros(10**6),))
    parts, found = parts_of({"a": inner, "b": [large, inner]})
    assert {each.key: each for each in found} == {"one": inner, "two": large}
    assert sum(part.nbytes for part in parts) < 1000
    back = unpacked(packed(parts))
    assert (back["a"].key, back["b"][0].key) == ("one", "two")
    assert back["a"].here == ()


def test_equal_values_have_equal_keys_and_others_have_others() -> None:
    def key(value: Any) -> str:
        return key_of(parts_of(value)[0])

    one = np.arange(1000.0)
    assert key(one) == key(one.copy()) == key(np.arange(1000.0))
    assert len({key(v) for v in (one, one[::-1], one[:999], one.astype(np.float32), [one])}) == 5
    assert key(Reference("a", (1,))) == key(Reference("a"))
    assert key(Reference("a")) != key(Reference("b"))

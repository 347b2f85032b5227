"""Tensors within a bound of memory, and beyond it in a file."""

import numpy as np
import pytest

from onnx_evoq.score import TensorStore

PARTS = [
    {"a": np.arange(6, dtype=np.float32).reshape(2, 3) + k, "b": np.arange(4) * k} for k in range(5)
]


def stored(limit: int) -> TensorStore:
    store = TensorStore(limit)
    for part in PARTS:
        store.append(part)
    return store


@pytest.mark.parametrize(("limit", "spilled"), [(10**6, 0), (0, 5), (56 * 2, 3), (56 * 2 - 1, 4)])
def test_what_is_read_is_what_was_added_wherever_it_lies(limit: int, spilled: int) -> None:
    store = stored(limit)
    assert store.spilled == spilled
    assert len(store) == 5
    for found, part in zip(store, PARTS, strict=True):
        for name, expected in part.items():
            assert found[name].dtype == expected.dtype
            assert (found[name] == expected).all()


def test_what_was_read_outlives_the_store() -> None:
    tensor = stored(0)[3]["a"]
    assert (tensor == PARTS[3]["a"]).all()


@pytest.mark.parametrize(
    "tensor", [np.float32(3), np.zeros((0, 4)), np.array(["text"], object), np.array([True, False])]
)
def test_odd_tensors_are_kept_too(tensor: np.ndarray) -> None:
    store = TensorStore(0)
    store.append({"t": np.asarray(tensor)})
    assert np.array_equal(store[0]["t"], tensor)


def test_an_array_that_is_not_contiguous_keeps_its_order() -> None:
    store = TensorStore(0)
    store.append({"t": PARTS[0]["a"].T})
    assert (store[0]["t"] == PARTS[0]["a"].T).all()


def test_what_lies_in_the_file_is_aligned() -> None:
    store = TensorStore(0)
    store.append({"odd": np.array([True, False, True]), "wide": np.arange(4.0)})
    assert store[0]["wide"].flags.aligned
    assert store[0]["wide"].ctypes.data % 64 == 0

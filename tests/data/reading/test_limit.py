"""How many samples are read."""

import numpy as np
import pytest

from onnx_evoq.data.reading.limit import Limit, bytes_as_fed
from onnx_evoq.errors import DataError
from onnx_evoq.signature import TensorSpec

MB = 10**6


@pytest.mark.parametrize(
    ("limit", "count"),
    [
        (Limit(), 50),
        (Limit(20), 20),
        (Limit(60), 50),
        (Limit(memory=500 * MB), 50),
        (Limit(memory=100 * MB), 10),
        (Limit(5, 100 * MB), 5),
        (Limit(memory=0), 2),  # as little as that is not worth an error
    ],
)
def test_as_many_samples_as_wanted_and_as_memory_allows(limit: Limit, count: int) -> None:
    found, notes = limit.count(50, 10 * MB, "a.npz")
    assert found == count
    assert bool(notes) == (limit.memory is not None and count in (10, 2))


def test_two_samples_that_memory_does_not_allow_are_refused() -> None:
    with pytest.raises(DataError, match=r"2 samples take 2\.0 GB, and memory allows 100\.0 MB"):
        Limit(memory=100 * MB).count(50, 1000 * MB, "a.npz")
    with pytest.raises(DataError, match=r"b: 3 samples take 3\.0 GB.*--memory"):
        Limit(memory=100 * MB).check(1000 * MB, "b", 3)


def test_samples_that_come_one_by_one_are_at_least_two() -> None:
    limit = Limit(memory=10)
    assert limit.allows(1, 100)
    assert limit.allows(5, 10)
    assert not limit.allows(2, 11)
    assert Limit().allows(5, 10**12)


def test_values_take_the_wider_of_both_types() -> None:
    floats = TensorSpec("x", np.dtype("float32"), None)
    assert bytes_as_fed(10, np.dtype("uint8"), floats) == 40
    assert bytes_as_fed(10, np.dtype("float64"), floats) == 80

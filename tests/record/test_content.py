"""What stands for values in a run's file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnx_evoq.record import described, hash_of_arrays


@dataclass
class Pair:
    """A dataclass."""

    one: int
    other: Path


def a_function() -> None:
    """A function."""


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, None),
        (1.5, 1.5),
        (True, True),
        ("a", "a"),
        (Path("a/b"), "a/b"),
        ((1, [2]), [1, [2]]),
        ({"a": Path("b")}, {"a": "b"}),
        ({3, 1}, [1, 3]),
        (Pair(1, Path("x")), {"one": 1, "other": "x"}),
        (a_function, f"{__name__}.a_function"),
    ],
)
def test_values_are_described_as_json_has_them(value: Any, found: Any) -> None:
    assert described(value) == found


def test_objects_are_described_by_their_type() -> None:
    assert described(object()) == "builtins.object"


def test_hashes_differ_with_values_types_and_shapes() -> None:
    arrays = [
        np.zeros(4, np.int8), np.ones(4, np.int8), np.zeros((2, 2), np.int8),
        np.zeros(1, np.int32), np.zeros(0), np.array(["a", "b"], object),
    ]  # fmt: skip
    assert len({hash_of_arrays([array]) for array in arrays}) == len(arrays)


def test_the_layout_in_memory_does_not_matter() -> None:
    array = np.arange(6).reshape(2, 3)
    assert hash_of_arrays([array]) == hash_of_arrays([np.asfortranarray(array)])
    assert described(array) == hash_of_arrays([array])

"""Targets that leave errors to an activation, and their sums."""

import numpy as np
import pytest
from graphs import random

from onnx_evoq.quantize import Activation, SampleChunk, TargetsBehind

WEIGHT = random(2, 4, 3, seed=1)  # (groups, columns, rows)
ADDED = random(2, 2, 1, 3, seed=2)  # of two uses
BEHIND = TargetsBehind(WEIGHT, ADDED, [Activation(), None])


def chunk(use: int, *, shifted: bool = False) -> SampleChunk:
    shift = random(2, 5, 3, seed=5) if shifted else None
    return SampleChunk(random(2, 5, 4, seed=3), random(2, 5, 3, seed=4), shift, use=use)


@pytest.mark.parametrize("shifted", [True, False])
def test_targets_follow_from_the_outputs(shifted: bool) -> None:
    given = chunk(0, shifted=shifted)
    outputs = given.columns @ WEIGHT + ADDED[0]
    expected = Activation().targets(given.targets, outputs, given.shift)
    np.testing.assert_allclose(BEHIND.targets(given), expected, rtol=1e-6)
    np.testing.assert_allclose(BEHIND.targets(given, slice(1, 3)), expected[:, 1:3], rtol=1e-5)
    assert (expected != given.targets).any()


def test_a_use_without_an_activation_keeps_its_targets() -> None:
    given = chunk(1)
    np.testing.assert_array_equal(BEHIND.targets(given), given.targets)


def test_sums_are_those_of_the_targets() -> None:
    given, origin = chunk(0), random(2, 3, seed=6)
    found, t = BEHIND.sums(given, origin), BEHIND.targets(given) - origin[:, None]
    np.testing.assert_allclose(found.t, t.sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found.tx, t.transpose(0, 2, 1) @ given.columns, rtol=1e-4, atol=1e-5)

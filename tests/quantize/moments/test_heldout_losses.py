"""Losses of several weights on samples that only judge."""

import numpy as np
import pytest
from graphs import random

from onnx_evoq.quantize import Activation, HeldoutLosses, SampleChunk, TargetsBehind

X, T = random(2, 6, 4, seed=1), random(2, 6, 5, seed=2)  # (groups, positions, columns or rows)
WEIGHTS = [random(2, 4, 5, seed=k) for k in (3, 4)]
X_MEAN, T_MEAN = random(2, 2, 4, seed=5), random(2, 2, 5, seed=6)  # of two uses


@pytest.mark.parametrize("use", [0, 1])
@pytest.mark.parametrize("rows", [slice(None), slice(None, None, 2)])
def test_errors_are_those_from_the_means_of_the_use(use: int, rows: slice) -> None:
    weights = [weight[:, :, rows] for weight in WEIGHTS]
    losses = HeldoutLosses(weights, rows, X_MEAN, T_MEAN[:, :, rows])
    found = losses.of(SampleChunk(X, T, use=use))
    expected = []
    for weight in WEIGHTS:
        bias = T_MEAN[use] - np.einsum("gcr,gc->gr", weight, X_MEAN[use])
        errors = T - np.einsum("gcr,gpc->gpr", weight, X) - bias[:, None]
        expected.append(np.square(errors[:, :, rows]).sum())
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_targets_may_be_those_behind_an_activation() -> None:
    behind = TargetsBehind(WEIGHTS[0], np.zeros((1, 2, 1, 5), np.float32), [Activation()])
    zero = np.zeros((1, 2, 4), np.float32), np.zeros((1, 2, 5), np.float32)
    chunk = SampleChunk(X, T)
    found = HeldoutLosses(WEIGHTS, slice(None), *zero, behind).of(chunk)
    expected = [np.square(behind.targets(chunk) - X @ weight).sum() for weight in WEIGHTS]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found[0] < HeldoutLosses(WEIGHTS, slice(None), *zero).of(chunk)[0]

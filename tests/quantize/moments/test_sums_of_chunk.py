"""The sums of a chunk, against plain products."""

import numpy as np
import pytest
from graphs import random

from onnx_evoq.quantize.moments import sums_of_chunk as module
from onnx_evoq.quantize.moments.sums_of_chunk import chunk_sums, first_origins, target_sums

X, T = random(2, 20, 4), random(2, 20, 3, seed=1)
ORIGIN = random(2, 3, seed=2)


def test_the_sums_are_those_of_all_positions() -> None:
    found = chunk_sums(X, lambda some: T[:, some], ORIGIN)
    t = T - ORIGIN[:, None]
    assert found.count == 20
    np.testing.assert_allclose(found.x, X.sum(axis=1), atol=1e-5)
    np.testing.assert_allclose(found.xx, np.einsum("gpi,gpj->gij", X, X), atol=1e-4)
    np.testing.assert_allclose(found.of_targets.t, t.sum(axis=1), atol=1e-5)
    np.testing.assert_allclose(found.of_targets.tx, np.einsum("gpi,gpj->gij", t, X), atol=1e-4)


@pytest.mark.parametrize("values", [1, 60, 10**6])
def test_targets_are_asked_for_a_few_positions_at_a_time(
    monkeypatch: pytest.MonkeyPatch, values: int
) -> None:
    whole = target_sums(X, lambda some: T[:, some], ORIGIN)
    monkeypatch.setattr(module, "_LEAST_POSITIONS", 3)
    monkeypatch.setattr(module, "_VALUES_AT_ONCE", values)
    asked = []

    def targets(some: slice) -> np.ndarray:
        asked.append(some.stop - some.start)
        return T[:, some]

    found = target_sums(X, targets, ORIGIN)
    assert asked == {1: [3] * 6 + [2], 60: [10, 10], 10**6: [20]}[values]  # of 6 values each
    np.testing.assert_allclose(found.tx, whole.tx, atol=1e-4)
    np.testing.assert_allclose(found.t, whole.t, atol=1e-5)


def test_without_positions_they_are_zero() -> None:
    found = target_sums(X[:, :0], lambda some: T[:, :0][:, some], ORIGIN)
    assert not found.tx.any()
    assert found.tx.shape == (2, 3, 4)


@pytest.mark.parametrize("centred", [False, True])
def test_origins_are_the_means_of_a_chunk_in_parts_or_zero(centred: bool) -> None:
    x, t = ([each[:, :5], each[:, 5:]] for each in (X, T))
    found = first_origins(x, t, centred=centred)
    for each, values in zip(found, (X, T), strict=True):
        np.testing.assert_allclose(each, values.mean(axis=1) if centred else 0, atol=1e-6)
        assert each.shape == (2, values.shape[2])

"""Samples with other targets against moments gathered anew."""

import weakref

import numpy as np
import pytest
from graphs import random

from onnx_evoq.quantize import Chunk, Clamp, Samples
from onnx_evoq.quantize.closed_form.moments import Moments, MomentSums

GROUPS, POSITIONS, ROWS, COLUMNS = 2, 30, 3, 4
WEIGHT = random(GROUPS, ROWS, COLUMNS, seed=50).astype(np.float64)
BIAS = random(GROUPS, ROWS, seed=51).astype(np.float64)


def chunks(*, shifted: bool = False) -> list[Chunk]:
    """Three of them, with means that are not zero."""
    return [
        Chunk(
            random(GROUPS, POSITIONS, COLUMNS, seed=seed) + 1,
            2 * random(GROUPS, POSITIONS, ROWS, seed=seed + 10) - 1,
            random(GROUPS, POSITIONS, ROWS, seed=seed + 20) if shifted else None,
        )
        for seed in range(3)
    ]


def samples_of(given: list[Chunk], clamp: Clamp | None, *, centred: bool = True) -> Samples:
    samples = Samples(centred, clamp)
    for chunk in given:
        samples.add(chunk)
    return samples


def fields(moments: Moments) -> list[np.ndarray]:
    return [moments.metric, moments.cross, moments.x_mean, moments.t_mean]


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("shifted", [True, False])
@pytest.mark.parametrize("clamp", [Clamp(), Clamp(-1, 2), Clamp(alpha=0.1)], ids=str)
def test_targets_follow_what_the_layer_gives(clamp: Clamp, shifted: bool, centred: bool) -> None:
    given = chunks(shifted=shifted)
    found = samples_of(given, clamp, centred=centred).behind(WEIGHT, BIAS)
    expected = MomentSums(centred)
    for chunk in given:
        outputs = np.einsum("grc,gpc->gpr", WEIGHT, chunk.columns) + BIAS[:, None]
        expected.add(chunk.columns, clamp.targets(chunk.targets, outputs, chunk.shift))
    for one, other in zip(found.folds(), expected.folds(), strict=True):
        for ours, theirs in zip(fields(one), fields(other), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_what_was_seen_is_left_alone() -> None:
    samples = samples_of(chunks(), Clamp())
    before = samples.sums.moments()
    samples.behind(WEIGHT, BIAS)
    again, fresh = samples.sums.moments(), samples_of(chunks(), None).sums.moments()
    for ours, first, plain in zip(fields(again), fields(before), fields(fresh), strict=True):
        assert (ours == first).all()
        assert (ours == plain).all()


def test_without_an_activation_targets_stay() -> None:
    samples = samples_of(chunks(), None)
    assert samples.behind(WEIGHT, BIAS) is samples.sums


@pytest.mark.parametrize("clamp", [None, Clamp()], ids=str)
def test_only_what_an_activation_asks_for_is_held(clamp: Clamp | None) -> None:
    (chunk, *_) = chunks()
    columns, samples = weakref.ref(chunk.columns), samples_of([chunk], clamp)
    del chunk
    assert (columns() is None) == (samples.clamp is None)

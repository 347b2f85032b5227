"""Samples with replaced targets against moments that are gathered from the beginning."""

import weakref
from dataclasses import replace

import numpy as np
import pytest
from graphs import random

from onnx_evoq.quantize import (
    Activation,
    HeldoutLosses,
    LayerSamples,
    SampleChunk,
    TargetsBehind,
    TargetSums,
    joined,
)
from onnx_evoq.quantize.moments.moment_sums import MomentSums
from onnx_evoq.quantize.moments.moments import Moments
from onnx_evoq.quantize.moments.sample_chunk import transposed

GROUPS, POSITIONS, ROWS, COLUMNS = 2, 30, 3, 4
WEIGHT = random(GROUPS, ROWS, COLUMNS, seed=50).astype(np.float64)
BIAS = random(GROUPS, ROWS, seed=51).astype(np.float64)


def chunks(*, shifted: bool = False) -> list[SampleChunk]:
    """Three of them, with means that are not zero."""
    return [
        SampleChunk(
            random(GROUPS, POSITIONS, COLUMNS, seed=seed) + 1,
            2 * random(GROUPS, POSITIONS, ROWS, seed=seed + 10) - 1,
            random(GROUPS, POSITIONS, ROWS, seed=seed + 20) if shifted else None,
        )
        for seed in range(3)
    ]


def samples_of(
    given: list[SampleChunk], activation: Activation | None, *, centred: bool = True
) -> LayerSamples:
    samples = LayerSamples(centred, activation)
    for chunk in given:
        samples.add(chunk)
    return samples


def fields(moments: Moments) -> list[np.ndarray]:
    return [moments.hessian, moments.cross, moments.x_mean, moments.t_mean]


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("shifted", [True, False])
@pytest.mark.parametrize(
    "activation", [Activation(), Activation(-1, 2), Activation(alpha=0.1)], ids=str
)
def test_targets_follow_from_the_outputs_of_the_layer(
    activation: Activation, shifted: bool, centred: bool
) -> None:
    given = chunks(shifted=shifted)
    found = samples_of(given, activation, centred=centred).moments_behind_activation(WEIGHT, BIAS)
    expected = MomentSums(centred)
    for chunk in given:
        outputs = np.einsum("grc,gpc->gpr", WEIGHT, chunk.columns) + BIAS[:, None]
        expected.add(chunk.columns, activation.targets(chunk.targets, outputs, chunk.shift))
    for one, other in zip(found.folds(), expected.folds(), strict=True):
        for ours, theirs in zip(fields(one), fields(other), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_moments_of_the_first_targets_stay_as_they_are() -> None:
    samples = samples_of(chunks(), Activation())
    before = samples.sums.moments()
    samples.moments_behind_activation(WEIGHT, BIAS)
    again, fresh = samples.sums.moments(), samples_of(chunks(), None).sums.moments()
    for ours, first, plain in zip(fields(again), fields(before), fields(fresh), strict=True):
        assert (ours == first).all()
        assert (ours == plain).all()


def test_without_an_activation_targets_stay() -> None:
    samples = samples_of(chunks(), None)
    assert samples.moments_behind_activation(WEIGHT, BIAS) is samples.sums


@pytest.mark.parametrize("activation", [None, Activation()], ids=str)
def test_chunks_are_kept_only_for_an_activation(activation: Activation | None) -> None:
    (chunk, *_) = chunks()
    targets, samples = weakref.ref(chunk.targets), samples_of([chunk], activation)
    del chunk
    assert (targets() is None) == (not samples.hides_errors)


@pytest.mark.parametrize("activation", [None, Activation()], ids=str)
def test_of_few_positions_all_are_kept_and_no_moments(activation: Activation | None) -> None:
    given = chunks(shifted=True)
    samples = LayerSamples(True, activation, few=True)
    for chunk in given:
        samples.add(chunk)
    assert samples.few
    assert not samples_of(given, activation).few
    for field in ("columns", "targets", "shift"):
        expected = np.concatenate([getattr(chunk, field) for chunk in given], axis=1)
        np.testing.assert_array_equal(getattr(samples.together[0], field), expected)
    assert samples.sums._folds == []


def test_of_few_positions_those_that_only_judge_are_apart() -> None:
    given = chunks()
    samples = LayerSamples(True, few=True, heldout=True)
    samples.add(replace(given[0], heldout=True))
    for chunk in given[1:]:
        samples.add(chunk)
    (together,) = samples.together
    assert samples.judges == POSITIONS
    assert together.columns.shape == (GROUPS, 2 * POSITIONS, COLUMNS)
    assert samples_of(given, None).judges == 0


ZERO = np.zeros((1, GROUPS, COLUMNS), np.float32), np.zeros((1, GROUPS, ROWS), np.float32)
LOSSES = HeldoutLosses([transposed(WEIGHT), transposed(0 * WEIGHT)], slice(None), *ZERO)


@pytest.mark.parametrize("few", [True, False])
def test_losses_are_those_of_all_that_judge(few: bool) -> None:
    samples = LayerSamples(True, few=few, heldout=True, keeps_judges=True)
    one, other, fitted = chunks()
    for judge in (one, other):
        samples.add(replace(judge, heldout=True))
    samples.add(fitted)
    expected = []
    for factor in (1, 0):
        errors = [
            each.targets - factor * np.einsum("grc,gpc->gpr", WEIGHT, each.columns)
            for each in (one, other)
        ]
        expected.append(sum(float(np.square(each).sum()) for each in errors))
    assert samples.heldout_losses(LOSSES) == pytest.approx(expected, rel=1e-5)
    assert samples.judges == 2 * POSITIONS
    assert samples.count == POSITIONS


class Far:
    """Has the chunks that are elsewhere."""

    def target_sums(self, behind: TargetsBehind) -> list[TargetSums]:
        return []

    def heldout_losses(self, losses: HeldoutLosses) -> list[np.ndarray]:
        return [np.array([1.0, 2.0]), np.array([0.5, 0.25])]


def test_losses_of_judges_that_are_elsewhere_are_added_up() -> None:
    samples = LayerSamples(True, heldout=True, keeps_judges=True, elsewhere=Far())
    samples.add(chunks()[0])
    for positions in (3, 4):
        samples.add_judges(positions, finite=True)
    assert samples.judges == 7
    assert samples.heldout_losses(LOSSES) == [1.5, 2.25]
    assert samples.finite
    samples.add_judges(1, finite=False)
    assert not samples.finite


@pytest.mark.parametrize("centred", [True, False])
def test_chunks_that_are_added_together_are_one_chunk(centred: bool) -> None:
    given, (one, other) = (
        chunks(shifted=True),
        (LayerSamples(centred, Activation()) for _ in range(2)),
    )
    one.add(*given)
    other.add(joined(given))
    assert one.sums.count == 3 * POSITIONS
    first, second = (s.moments_behind_activation(WEIGHT, BIAS).moments() for s in (one, other))
    np.testing.assert_allclose(first.hessian, second.hessian, rtol=1e-5)
    np.testing.assert_allclose(first.cross, second.cross, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(first.x_mean, second.x_mean, rtol=1e-6)


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize(("field", "value"), [("columns", np.nan), ("targets", 1e30)])
def test_values_whose_products_overflow_are_not_finite(field: str, value: float, few: bool) -> None:
    samples = LayerSamples(True, few=few)
    for chunk in chunks():
        samples.add(chunk)
    assert samples.finite
    spoilt = LayerSamples(True, few=few)
    given = chunks()
    given[1].columns[0, 2] *= np.float32(1e10)
    getattr(given[1], field)[0, 2] = value
    with np.errstate(over="ignore", invalid="ignore"):
        for chunk in given:
            spoilt.add(chunk)
        assert not spoilt.finite


@pytest.mark.parametrize("few", [True, False])
def test_positions_are_counted_at_each_use_without_those_that_judge(few: bool) -> None:
    samples = LayerSamples([True] * 3, few=few, heldout=True)
    one, other, judge = chunks()
    samples.add(replace(one, use=2))
    samples.add(other)
    samples.add(replace(judge, use=1, heldout=True))
    assert (samples.counts, samples.count) == ((POSITIONS, 0, POSITIONS), 2 * POSITIONS)

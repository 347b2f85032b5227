"""Intervals of confidence."""

import numpy as np
import pytest

from onnx_evoq.api.details.intervals import bootstrap, paired, wilson


@pytest.mark.parametrize(
    ("share", "samples", "low", "high"),
    # Wilson's intervals as in Newcombe, Statistics in Medicine 17 (1998), table I
    [(81 / 263, 263, 0.2553, 0.3662), (15 / 148, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611),
     (1 / 29, 29, 0.0061, 0.1718)],
)  # fmt: skip
def test_wilson_has_the_published_limits(
    share: float, samples: int, low: float, high: float
) -> None:
    assert wilson(share, samples) == pytest.approx((low, high), abs=5e-5)


def test_a_share_of_all_has_one_as_its_limit() -> None:
    low, high = wilson(1.0, 50)
    assert high == 1.0
    assert 0.9 < low < 1


def test_the_bootstrap_of_many_normal_values_is_the_normal_interval() -> None:
    values = np.random.default_rng(0).standard_normal(2000)
    low, high = bootstrap(values, np.random.default_rng(1)) or (0.0, 0.0)
    reach = 1.96 * values.std() / np.sqrt(2000)
    assert low == pytest.approx(values.mean() - reach, abs=0.15 * reach)
    assert high == pytest.approx(values.mean() + reach, abs=0.15 * reach)


def test_the_bootstrap_of_errors_does_not_go_below_zero() -> None:
    values = np.array([0.0] * 30 + [50.0])
    low, high = bootstrap(values, np.random.default_rng(0)) or (-1.0, -1.0)
    assert low >= 0
    assert high > values.mean()


def test_values_that_have_no_interval_have_none() -> None:
    rng = np.random.default_rng(0)
    assert bootstrap(np.ones(1), rng) is None
    assert bootstrap(np.array([1.0, np.nan]), rng) is None
    assert paired(np.ones(1)) is None


def test_paired_differences_have_the_normal_interval() -> None:
    values = np.array([1.0] * 10 + [0.0] * 90)
    assert paired(values) == pytest.approx((0.1 - 0.0591, 0.1 + 0.0591), abs=1e-4)

"""How well inputs fit the statistics of BatchNormalization nodes."""

import numpy as np
import pytest

from onnx_evoq.model import NormStatistics
from onnx_evoq.setup.ranges.norm_fit import misfit

MEAN, VARIANCE = np.array([1.0, -2.0]), np.array([4.0, 0.25])


def values(shift: float = 0, factor: float = 1, samples: int = 4000) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal((samples, 2, 5))
    return (factor * (MEAN[:, None] + np.sqrt(VARIANCE)[:, None] * noise) + shift).astype("f")


def of(*tensors: np.ndarray) -> float:
    names = [f"t{index}" for index in range(len(tensors))]
    statistics = [NormStatistics(name, MEAN, VARIANCE) for name in names]
    return misfit(statistics, [dict(zip(names, tensors, strict=True))])


def test_inputs_of_the_same_mean_and_variance_fit() -> None:
    assert of(values()) == pytest.approx(0, abs=1e-3)


def test_the_misfit_is_the_divergence_of_normal_distributions() -> None:
    statistics = [NormStatistics("t", np.zeros(1), np.ones(1))]
    normal = np.random.default_rng(0).standard_normal((50000, 1, 1))
    for mean, deviation in ((1, 1), (0, 2), (3, 0.5)):
        expected = (deviation**2 + mean**2 - 1 - np.log(deviation**2)) / 2
        found = misfit(statistics, [{"t": mean + deviation * normal}])
        assert found == pytest.approx(np.log1p(expected), rel=0.02)


def test_the_first_node_counts_most() -> None:
    good, bad = values(), values(shift=9)
    assert of(bad, good) == pytest.approx(2 * of(good, bad), rel=0.01)


def test_parts_are_added_up() -> None:
    statistics, all_values = [NormStatistics("t", MEAN, VARIANCE)], values(factor=1.3)
    halves = [{"t": all_values[:100]}, {"t": all_values[100:]}]
    assert misfit(statistics, halves) == pytest.approx(misfit(statistics, [{"t": all_values}]))


def test_channels_that_do_not_vary_fit_as_well_as_they_can() -> None:
    statistics = [NormStatistics("t", np.zeros(2), np.array([1.0, 1e-12]))]
    assert np.isfinite(misfit(statistics, [{"t": np.zeros((3, 2, 4), "f")}]))

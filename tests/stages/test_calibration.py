"""How much sensitivities count by depth, from the errors of models that were built."""

import numpy as np
import pytest

from onnx_evoq.stages.calibration import weights_by_depth

DEPTHS = np.linspace(0, 1, 6)


def harms(models: int, seed: int = 0) -> np.ndarray:
    """(models, parts) of all sizes."""
    return np.exp(np.random.default_rng(seed).normal(0, 2, (models, len(DEPTHS))))


@pytest.mark.parametrize(("slope", "bend"), [(0, 0), (4, 0), (-3, 1), (3, -2)])
def test_weights_that_made_the_errors_are_found(slope: float, bend: float) -> None:
    true = 0.3 * np.exp(slope * DEPTHS + bend * DEPTHS**2)
    seen = harms(12)
    found = weights_by_depth(seen, seen @ true, DEPTHS)
    unseen = harms(50, seed=1)
    assert np.abs(np.log(unseen @ found) - np.log(unseen @ true)).max() < 0.25


def test_errors_of_the_same_scale_change_nothing_but_the_scale() -> None:
    seen = harms(8)
    assert weights_by_depth(seen, 7 * seen.sum(axis=1), DEPTHS) == pytest.approx(7)


@pytest.mark.parametrize("error", [0.0, -1.0, np.inf, np.nan])
def test_errors_that_say_nothing_are_passed_over(error: float) -> None:
    seen = harms(8)
    errors = [*seen.sum(axis=1), error]
    found = weights_by_depth(np.vstack([seen, seen[:1]]), errors, DEPTHS)
    assert found == pytest.approx(1)


def test_too_few_errors_leave_harm_as_it_is() -> None:
    assert weights_by_depth(harms(3), [1.0, 2.0, 3.0], DEPTHS).tolist() == [1.0] * 6

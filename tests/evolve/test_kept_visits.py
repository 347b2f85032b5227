"""Visits to weights that are kept."""

from pathlib import Path

import numpy as np
import pytest

from onnx_evoq.evolve.kept_visits import Visit, keep_visit, kept_visit
from onnx_evoq.evolve.settings import LayerScores
from onnx_evoq.quantize import FixedPoint, QuantizedWeight
from onnx_evoq.record.steps import FolderSteps

WEIGHT = QuantizedWeight(np.array([1, -2], np.int8), FixedPoint(4, np.array(0.5, np.float32)))
SCORES = LayerScores({"search": 2.0, "heldout": float("nan")}, {"search": 1.0, "heldout": 3.0})


@pytest.mark.parametrize("best", [None, WEIGHT])
@pytest.mark.parametrize("scores", [None, SCORES])
def test_a_visit_comes_back_as_it_was(
    tmp_path: Path, best: QuantizedWeight | None, scores: LayerScores | None
) -> None:
    steps, rng = FolderSteps(tmp_path), np.random.default_rng(0)
    keep_visit(steps, "w", Visit(best, scores, 7), rng)
    after = rng.random()
    again = np.random.default_rng(0)
    found = kept_visit(steps, "w", again)
    assert found is not None
    assert again.random() == after
    assert found.evaluations == 7
    assert repr(found.scores) == repr(scores)  # NaN is not equal to itself
    assert (found.best is None) == (best is None)
    if found.best is not None:
        assert found.best.values.tolist() == WEIGHT.values.tolist()
    assert kept_visit(steps, "another", rng) is None

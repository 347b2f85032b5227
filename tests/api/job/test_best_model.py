"""The best model of a run that goes on after its time was up."""

from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from graphs import mlp

import onnx_evoq
from onnx_evoq import Result
from onnx_evoq.api.job import with_best_kept
from onnx_evoq.metrics import find_metric
from onnx_evoq.record import NO_RUN, kept_run
from onnx_evoq.run import Stopped

MSE, TOP1 = find_metric("mse"), find_metric("top1")


@pytest.fixture(scope="module")
def result() -> Result:
    return onnx_evoq.optimize(mlp(), bits=4, strategy="none")


def ended(result: Result, heldout: float, stopped: Stopped | None, name: str = "a") -> Result:
    """The same result with another score and another model."""
    model = onnx.ModelProto()
    model.CopyFrom(result.model)
    model.graph.name = name
    score = replace(result.scores["evolved"], heldout=heldout)
    return replace(
        result, model=model, stopped=stopped, notes=(), scores={**result.scores, "evolved": score}
    )


def kept(folder: Path) -> str:
    """The name of the model that is kept."""
    return str(onnx.load(folder / "best.onnx").graph.name)


def test_a_better_model_takes_the_place_of_the_one_before(result: Result, tmp_path: Path) -> None:
    for name, heldout, stopped in (
        ("a", 2.0, Stopped.TIME),
        ("b", 1.0, Stopped.TIME),
        ("c", 0.5, None),
    ):
        with kept_run(tmp_path, {}) as run:
            part = ended(result, heldout, stopped, name)
            assert with_best_kept(run, part, MSE, 8) is part
        assert kept(tmp_path) == name


@pytest.mark.parametrize(("metric", "values"), [(MSE, (1.0, 2.0)), (TOP1, (0.9, 0.8))])
@pytest.mark.parametrize("stopped", [Stopped.TIME, None])
def test_a_worse_model_does_not_and_a_note_says_so(
    result: Result,
    tmp_path: Path,
    metric: onnx_evoq.metrics.Metric,
    values: tuple[float, float],
    stopped: Stopped | None,
) -> None:
    with kept_run(tmp_path, {}) as run:
        with_best_kept(run, ended(result, values[0], Stopped.TIME, "a"), metric, 8)
    with kept_run(tmp_path, {}) as run:
        (note,) = with_best_kept(run, ended(result, values[1], stopped, "b"), metric, 8).notes
    assert f"{metric.name} {values[0]:.4g} on the held-out samples, and it ends with" in note
    assert note.endswith(f"The other model is {tmp_path / 'best.onnx'}.")
    assert kept(tmp_path) == "a"


def test_scores_of_other_samples_are_not_compared(result: Result, tmp_path: Path) -> None:
    for name, samples in (("a", 8), ("b", 16)):
        with kept_run(tmp_path, {}) as run:
            part = ended(result, float(samples), Stopped.TIME, name)
            assert with_best_kept(run, part, MSE, samples) is part
    assert kept(tmp_path) == "b"


def test_a_run_that_needs_no_more_time_keeps_no_model(result: Result, tmp_path: Path) -> None:
    with kept_run(tmp_path, {}) as run:
        with_best_kept(run, ended(result, 1.0, None), MSE, 8)
    with_best_kept(NO_RUN, ended(result, 1.0, Stopped.TIME), MSE, 8)
    assert not (tmp_path / "best.onnx").exists()

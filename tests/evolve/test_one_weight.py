"""The population of a weight is kept after each generation."""

from pathlib import Path

import numpy as np
import pytest
from graphs import mlp, random, task_of
from kept_runs import Killed, Kills

from onnx_evoq.engine import Evaluators
from onnx_evoq.evolve import SearchSettings
from onnx_evoq.evolve.one_weight import evolve_weight
from onnx_evoq.record.steps import FolderSteps
from onnx_evoq.run import NO_DEADLINE


def test_a_search_goes_on_with_its_population(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(mlp(), random(40, 4), random(8, 4), bits=2)
    start = task.nearest(task.weights, task.bits)["first"]
    settings = SearchSettings(population=4, generations=9)

    def search(steps: FolderSteps) -> tuple[list[int], int]:
        pair = Evaluators([task.search_set, task.heldout_set], task.resources).at(
            task.model, "first"
        )
        best, _, _ = evolve_weight(
            "first", start, pair, settings, np.random.default_rng(0), NO_DEADLINE,
            lambda *amount, **place: None, 0, steps,
        )  # fmt: skip
        return best.codes.ravel().tolist(), sum(each.evaluations for each in pair)

    whole = search(FolderSteps(tmp_path / "whole"))
    steps = FolderSteps(tmp_path / "killed")
    for after in (1, 4, 2):
        with monkeypatch.context() as patch:
            Kills(patch, after)
            with pytest.raises(Killed):
                search(steps)
    assert search(steps) == whole

"""The ways that the benchmarks compare have the random numbers of the package's own."""

from dataclasses import replace
from pathlib import Path

import bench_ablation
import bench_strategies
import numpy as np
import pytest
from bench_ablation import (
    equalization,
    evolution,
    output_correction,
    reconstructed,
    refined,
    rounded,
)
from bench_strategies import STARTS, STRATEGIES, way_of

from onnx_evoq import Data
from onnx_evoq.evolve import FROM_RECONSTRUCTION
from onnx_evoq.pipeline.fine_tuning import from_nearest, from_reconstruction
from onnx_evoq.quantize import QuantizedWeight
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Task, bits_of, open_float_model, prepare_calibration

SETTINGS = [name for name in vars(bench_strategies) if "FROM_" in name]
SHORT = replace(FROM_RECONSTRUCTION, generations=2)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches of two generations."""
    monkeypatch.setattr(bench_ablation, "FROM_RECONSTRUCTION", SHORT)
    for name in SETTINGS:
        usual = getattr(bench_strategies, name)
        monkeypatch.setattr(bench_strategies, name, replace(usual, generations=2))


@pytest.fixture
def task(mlp_file: Path, mlp_data: Path) -> Task:
    """A small model to quantize to 3 bits, without a limit of time."""
    model, rng = open_float_model(mlp_file, ()), np.random.default_rng(0)
    sets = prepare_calibration(model.reference, "mlp", Data(mlp_data), "auto", 0.25, rng)
    bits = bits_of(model.weights, 3, {})
    return Task(
        model.model, model.weights, bits, "tensor", "pow2", sets.search_set, sets.heldout_set,
        Deadline(None),
    )  # fmt: skip


def codes(quantized: dict[str, QuantizedWeight]) -> dict[str, list[float]]:
    return {name: each.values.tolist() for name, each in quantized.items()}


def test_a_reconstruction_is_that_of_the_package(task: Task) -> None:
    found, evaluations = reconstructed()(task, np.random.default_rng(7))
    own = from_reconstruction(task, list(task.bits), None, np.random.default_rng(7))
    assert codes(found.quantized) == codes(own.start)
    assert evaluations == 0


def test_all_steps_together_are_the_whole_way(task: Task) -> None:
    steps = equalization, output_correction, evolution(SHORT)
    composed, evaluations = reconstructed(*steps, formats=True)(task, np.random.default_rng(7))
    whole, scored = refined(task, np.random.default_rng(7))
    assert codes(composed.quantized) == codes(whole.quantized)
    assert evaluations == scored > 0


def test_nearest_rounding_is_that_of_the_package(task: Task) -> None:
    found, _ = rounded(None)(task, np.random.default_rng(7))
    own = from_nearest(task, list(task.bits), None, np.random.default_rng(7))
    assert codes(found.quantized) == codes(own.start)


@pytest.mark.parametrize("start", STARTS)
def test_each_strategy_starts_where_none_stays(task: Task, start: str) -> None:
    fitness = {}
    for strategy in STRATEGIES:
        found, _ = way_of(start, strategy)(task, np.random.default_rng(7))
        fitness[strategy] = task.fitness(found.as_float)
    assert fitness["none"] >= max(fitness["layer-wise"], fitness["coevolution"])

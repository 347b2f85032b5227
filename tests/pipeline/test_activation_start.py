"""Grids start where channels were scaled for, evolve, and are kept if the weights agree."""

from dataclasses import replace

import numpy as np
import pytest
from integer_nets import conv_task

from onnx_evoq.activations import Activations, quantize_activations
from onnx_evoq.evolve import FROM_RECONSTRUCTION
from onnx_evoq.model import as_network, quantized_activations
from onnx_evoq.pipeline.activation_start import (
    activation_candidates,
    better_start,
    calibrated,
    with_simulated,
)
from onnx_evoq.reconstruct import QuantizedModel
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Task

START = "onnx_evoq.pipeline.activation_start"
GIVEN = replace(conv_task(), activation_bits=4)
RNG = np.random.default_rng(0)


def wider(found: Activations, factor: float) -> Activations:
    """The same with other scales."""
    return found.with_grids(
        {name: replace(grid, scale=factor * grid.scale) for name, grid in found.grids.items()}
    )


def rounded(found: Activations) -> QuantizedModel:
    """Nearest rounding of the weights in the simulated model."""
    task = with_simulated(GIVEN, found)
    return QuantizedModel(as_network(task.model), task.nearest(task.weights, task.bits), {}, ())


def test_float_activations_have_no_grids() -> None:
    assert activation_candidates(conv_task(), calibrated(conv_task()), None, RNG) == []
    assert with_simulated(GIVEN, None) is GIVEN


def test_the_scales_start_where_channels_were_scaled_for(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = quantize_activations(GIVEN, 4)
    name, scale = next(iter(plain.first_of_each_scale.items()))
    monkeypatch.setattr(f"{START}.swept", lambda task, found, deadline: found)
    scales = {name: 4 * plain.grids[scale].scale}
    (found,) = activation_candidates(GIVEN, plain, None, RNG, scales)
    assert found.grids[scale].scale == scales[name]
    assert len(quantized_activations(with_simulated(GIVEN, found).model)) == len(found.tensors)


def test_a_search_evolves_them_and_keeps_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for factor in (1.0, 2.0):
        monkeypatch.setattr(
            f"{START}.evolve_formats",
            lambda task, found, *rest, factor=factor: (
                found if factor == 1.0 else wider(found, factor), 0
            ),
        )  # fmt: skip
        found = activation_candidates(GIVEN, calibrated(GIVEN), FROM_RECONSTRUCTION, RNG)
        assert len(found) == factor


@pytest.mark.parametrize("order", [(1.0, 16.0), (16.0, 1.0)])
def test_the_heldout_set_decides_after_the_weights(order: tuple[float, float]) -> None:
    plain = quantize_activations(GIVEN, 4)
    candidates = [wider(plain, factor) for factor in order]
    found, model = better_start(GIVEN, candidates, rounded)
    assert found is candidates[order.index(1.0)]
    assert GIVEN.fitness(model.as_float) == GIVEN.fitness(rounded(found).as_float)


def test_without_time_for_another_reconstruction_the_first_is_taken() -> None:
    late = replace(GIVEN, deadline=Deadline(0.0))
    plain = quantize_activations(GIVEN, 4)
    built: list[Activations] = []

    def build(found: Activations) -> QuantizedModel:
        built.append(found)
        return rounded(found)

    found, _ = better_start(late, [wider(plain, 16.0), plain], build)
    assert built == [found]


def test_the_task_stays_as_it_is() -> None:
    assert isinstance(with_simulated(GIVEN, quantize_activations(GIVEN, 4)), Task)
    assert not quantized_activations(GIVEN.model)

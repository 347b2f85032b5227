"""Scales of activations move to where the error of the outputs is least."""

from dataclasses import replace

import numpy as np
import pytest
from integer_nets import conv_task, quantized_conv_net

from onnx_evoq.activations import Activations
from onnx_evoq.evolve import evolve_formats
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Task


def detuned() -> tuple[Task, Activations]:
    """Scales of activations inside the model are four times too large."""
    task, activations = conv_task(), quantized_conv_net(5)
    scales = [tensor.scale for tensor in activations.tensors if tensor.name in "cdefg"]
    grids = {
        scale: replace(activations.grids[scale], scale=4 * activations.grids[scale].scale)
        for scale in scales
    }
    return task, activations.with_grids(grids)


@pytest.mark.parametrize("scale", ["pow2", "float"])
def test_scales_that_are_too_large_shrink(scale: str) -> None:
    task, start = detuned()
    found, evaluations = evolve_formats(
        task,
        start,
        start.network,
        scale,
        np.random.default_rng(0),
        Deadline(None),  # type: ignore[arg-type]
    )
    assert evaluations > 8
    assert task.fitness(found.network) < 0.7 * task.fitness(start.network)
    if scale == "pow2":
        exponents = [np.log2(grid.scale) for grid in found.grids.values()]
        assert all(float(each).is_integer() for each in exponents)


def test_the_same_seed_gives_the_same_grids() -> None:
    task, start = detuned()
    grids = [
        evolve_formats(
            task, start, start.network, "pow2", np.random.default_rng(3), Deadline(None)
        )[0].grids
        for _ in range(2)
    ]
    assert grids[0] == grids[1]


def test_without_time_the_grids_stay() -> None:
    task, start = detuned()
    found, evaluations = evolve_formats(
        task, start, start.network, "pow2", np.random.default_rng(0), Deadline(0)
    )
    assert (found, evaluations) == (start, 0)

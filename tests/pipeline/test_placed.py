"""A model whose activations are quantized."""

import numpy as np
from graphs import conv_net, random, task_of

from onnx_evoq.pipeline.placed import Placed, calibrated, with_simulated
from onnx_evoq.run import NO_DEADLINE


def test_float_activations_change_no_task() -> None:
    task = task_of(conv_net(), random(8, 3, 8, 8), random(8, 3, 8, 8))
    assert calibrated(task) is None
    assert with_simulated(task, None) is task


def test_a_part_of_the_run_has_the_same_reconstruction() -> None:
    placed = Placed(task_of(conv_net(), random(8, 3, 8, 8), random(8, 3, 8, 8)), None)
    one, other = (
        each.reconstructed(placed.task.bits, 0, NO_DEADLINE) for each in (placed, placed.part("a"))
    )
    assert all(
        np.array_equal(found.codes, other.quantized[name].codes)
        for name, found in one.quantized.items()
    )

"""Each scale is tried at half and at twice its size, by the error at the end of the network."""

from dataclasses import replace

from integer_nets import conv_task, quantized_conv_net

from onnx_evoq.activations import swept
from onnx_evoq.run import Deadline


def test_a_scale_that_is_twice_too_large_goes_back() -> None:
    task, activations = conv_task(), quantized_conv_net(4)
    best = swept(task, activations, Deadline(None))
    scale = next(tensor.scale for tensor in best.tensors if tensor.name == "e")
    start = best.with_grids({scale: replace(best.grids[scale], scale=2 * best.grids[scale].scale)})
    found = swept(task, start, Deadline(None))
    errors = [task.fitness(each.network) for each in (start, found)]
    assert errors[1] < 0.9 * errors[0]
    assert found.grids[scale].scale == best.grids[scale].scale


def test_no_scale_moves_without_time() -> None:
    activations = quantized_conv_net(4)
    assert swept(conv_task(), activations, Deadline(0)).grids == activations.grids


def test_the_error_on_the_samples_that_choose_never_rises() -> None:
    task, activations = conv_task(), quantized_conv_net(3)
    seen = replace(task, heldout_set=task.search_set)
    found = swept(task, activations, Deadline(None))
    assert seen.fitness(found.network) <= seen.fitness(activations.network)

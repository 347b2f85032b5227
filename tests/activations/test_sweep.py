"""Each scale is tried at half and at twice its size, by the error at the end of the network."""

from dataclasses import replace
from pathlib import Path

import pytest
from integer_nets import conv_task, quantized_conv_net

from onnx_evoq.activations import swept
from onnx_evoq.record.steps import FolderSteps
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


def test_a_sweep_that_is_kept_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, activations = replace(conv_task(), steps=FolderSteps(tmp_path)), quantized_conv_net(4)
    wide = {n: replace(g, scale=2 * g.scale) for n, g in activations.grids.items()}
    start = activations.with_grids(wide)
    found = swept(task, start, Deadline(None))
    assert found.grids != start.grids
    with monkeypatch.context() as patch:
        patch.setattr("onnx_evoq.activations.sweep.Evaluators", None)
        assert swept(task, start, Deadline(0)).grids == found.grids
    wider = start.with_grids({n: replace(g, scale=2 * g.scale) for n, g in wide.items()})
    assert swept(task, wider, Deadline(0)).grids == wider.grids  # of which nothing is kept


def test_a_sweep_that_time_cut_is_not_kept(tmp_path: Path) -> None:
    task = replace(conv_task(), steps=FolderSteps(tmp_path))
    swept(task, quantized_conv_net(4), Deadline(0))
    assert list(tmp_path.iterdir()) == []

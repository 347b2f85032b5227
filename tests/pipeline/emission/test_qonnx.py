"""The QONNX form has the widths of the weights, and notes name what hls4ml does not take."""

from dataclasses import replace

import numpy as np
import pytest
from graphs import conv_net, mlp, random, rounded
from integer_nets import quantized_conv_net
from qonnx_runs import parameters, quants

from onnx_evoq.batch import Batch
from onnx_evoq.model import Quantized, fold_batch_norm, load
from onnx_evoq.pipeline import emit, in_qonnx
from onnx_evoq.quantize import FixedPoint, QuantizedWeight
from onnx_evoq.targets import find_target


def with_grids(quantized: Quantized, **grid: object) -> Quantized:
    """The same codes on other grids."""
    return {
        name: weight._replace(grid=replace(weight.grid, **grid))
        for name, weight in quantized.items()
    }


def test_the_widths_are_those_of_the_weights() -> None:
    model = load(mlp())
    quantized = {**rounded(model, 4), "second": rounded(model, 7)["second"]}
    batch = Batch({"x": random(4, 4)}, 4, 4)
    qdq, no_notes = emit(
        model, quantized, "qonnx", batch, storage="int8", target=find_target("qonnx")
    )
    found, notes = in_qonnx(qdq, quantized, None)
    widths = {name: int(parameters(found, n)["bitwidth"]) for name, n in quants(found).items()}
    assert widths == {"first": 4, "second": 7}
    assert notes == no_notes == []


def test_where_channels_differ_in_width_the_widest_counts() -> None:
    model = load(mlp())
    quantized = rounded(model, 3, channel=True)
    grid = FixedPoint((2, 3, 5), quantized["second"].grid.step, axis=0)
    quantized["second"] = QuantizedWeight(np.clip(quantized["second"].codes, -2, 1), grid)
    qdq, _ = emit(model, quantized, "qonnx", Batch({"x": random(4, 4)}, 4, 4), storage="int8")
    found, _ = in_qonnx(qdq, quantized, None)
    assert int(parameters(found, quants(found)["second"])["bitwidth"]) == 5


@pytest.mark.parametrize(
    ("step", "axis", "expected"),
    [
        (0.25, None, None),
        ([0.25, 0.25, 0.25], 0, None),
        ([0.25, 0.5, 0.25], 0, "some weights have a step per channel"),
        (0.3, None, "some steps are no powers of two"),
        ([0.25, 0.3, 0.25], 0, "some steps are no powers of two"),
    ],
)
def test_steps_that_hls4ml_does_not_take_are_noted(
    step: float | list[float], axis: int | None, expected: str | None
) -> None:
    model = load(mlp())
    quantized = rounded(model, 4)
    own = with_grids(quantized, step=np.array(step, np.float32), axis=axis)
    quantized["second"] = own["second"]
    qdq, _ = emit(model, quantized, "qonnx", Batch({"x": random(4, 4)}, 4, 4), storage="int8")
    _, notes = in_qonnx(qdq, quantized, None)
    assert len(notes) == (expected is not None)
    assert expected is None or notes[0].startswith(expected)


def test_steps_of_activations_count_too() -> None:
    model, _ = fold_batch_norm(load(conv_net()))
    quantized, activations = rounded(model, 4), quantized_conv_net()
    other = activations.with_grids(
        {name: replace(grid, scale=0.3) for name, grid in list(activations.grids.items())[:1]}
    )
    batch = Batch({"x": random(4, 3, 8, 8)}, 4, 4)
    for own, count in ((activations, 0), (other, 1)):
        qdq, _ = emit(own.network, quantized, "qonnx", batch, activations=own)
        _, notes = in_qonnx(qdq, quantized, own)
        assert len(notes) == count

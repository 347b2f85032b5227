"""The QONNX form of an emitted model, and what hls4ml does not take of it."""

from collections.abc import Iterable

import numpy as np

from onnx_evoq.activations import Activations
from onnx_evoq.model import Model, Quantized, emit_qonnx
from onnx_evoq.quantize import frac_bits_of


def in_qonnx(
    emitted: Model, quantized: Quantized, activations: Activations | None
) -> tuple[Model, list[str]]:
    """The emitted model in QONNX, and sentences that a user should read.

    ONNX Runtime cannot run it. It computes what the emitted model does.

    Args:
        emitted: the model in the QDQ format, with weights of 8 bits.
        quantized: codes and grid by weight.
        activations: its activations; None if they are floats.
    """
    widths = {name: weight.grid.widest for name, weight in quantized.items()}
    grids = () if activations is None else activations.grids.values()
    return emit_qonnx(emitted, widths), _notes(quantized, [grid.scale for grid in grids])


def _notes(quantized: Quantized, scales: Iterable[float]) -> list[str]:
    """What hls4ml does not take of a model.

    Args:
        quantized: codes and grid by weight.
        scales: of the activations.
    """
    steps = [np.atleast_1d(grid.step) for _, grid in quantized.values()]
    steps += [np.array([scale]) for scale in scales]
    if any(frac_bits_of(each) is None for each in steps):
        return [
            "some steps are no powers of two: hls4ml refuses this file, or computes other outputs. "
            "Choose pow2 for the scale of weights and of activations for it."
        ]
    if any((each != each[0]).any() for each in steps):
        return [
            "some weights have a step per channel, which hls4ml refuses: choose granularity tensor "
            "for it, or give them one step as docs/qonnx.md shows."
        ]
    return []

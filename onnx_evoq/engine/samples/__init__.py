"""The columns and targets of a layer, from the tensors around it."""

from onnx_evoq.engine.samples.at_layer import (
    entries_of,
    mean_positions,
    output_shape,
    sources_of,
)
from onnx_evoq.engine.samples.layer_samples import POSITIONS, gather_samples, positions_for

__all__ = [
    "POSITIONS",
    "entries_of",
    "gather_samples",
    "mean_positions",
    "output_shape",
    "positions_for",
    "sources_of",
]

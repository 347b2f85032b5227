"""The columns and targets of a layer, from the tensors around it."""

from onnx_evoq.engine.samples.at_layer import (
    AtLayer,
    entries_of,
    mean_positions,
    output_shape,
    weights_beside,
)
from onnx_evoq.engine.samples.layer_samples import POSITIONS, gather_samples, positions_for

__all__ = [
    "POSITIONS",
    "AtLayer",
    "entries_of",
    "gather_samples",
    "mean_positions",
    "output_shape",
    "positions_for",
    "weights_beside",
]

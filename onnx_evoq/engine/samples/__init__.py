"""The columns and targets of a layer, from the tensors around it."""

from onnx_evoq.engine.samples.at_layer import (
    AtLayer,
    entries_of,
    mean_positions,
    output_shape,
    sources_of,
)
from onnx_evoq.engine.samples.drawn_positions import drawn_positions
from onnx_evoq.engine.samples.gathering import (
    KEPT_VALUES,
    POSITIONS,
    Around,
    Gathering,
    plan_gathering,
    positions_for,
)
from onnx_evoq.engine.samples.layer_samples import gather_samples
from onnx_evoq.engine.samples.parts import OfBatch, batches_of_section, parts_of

__all__ = [
    "KEPT_VALUES",
    "POSITIONS",
    "Around",
    "AtLayer",
    "Gathering",
    "OfBatch",
    "batches_of_section",
    "drawn_positions",
    "entries_of",
    "gather_samples",
    "mean_positions",
    "output_shape",
    "parts_of",
    "plan_gathering",
    "positions_for",
    "sources_of",
]

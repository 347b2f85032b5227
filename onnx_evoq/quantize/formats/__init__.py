"""The grids of activations."""

from onnx_evoq.quantize.formats.activation_grid import (
    ActivationGrid,
    CodeType,
    at_scale,
    best_activation_grid,
)

__all__ = ["ActivationGrid", "CodeType", "at_scale", "best_activation_grid"]

"""The grids of activations."""

from onnx_evoq.quantize.formats.activation_grid import ActivationGrid, best_activation_grid

__all__ = ["ActivationGrid", "best_activation_grid"]

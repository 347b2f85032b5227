"""The closed forms: the best weights of a layer for the second moments of its inputs."""

from onnx_evoq.quantize.closed_form.at_widths import LayerAtWidth, quantize_at_widths
from onnx_evoq.quantize.closed_form.best_weight import ROUNDING_DAMPING, factored, refit
from onnx_evoq.quantize.closed_form.correct_output import LinearizedOutput, correct_codes
from onnx_evoq.quantize.closed_form.effort import EFFORTS, FULL, Effort
from onnx_evoq.quantize.closed_form.layer_reconstruction import (
    MOST_PRODUCTS_FOR_RESTARTS,
    LayerReconstruction,
    reconstruct_with_activation,
)
from onnx_evoq.quantize.closed_form.sample_equations import in_space_of_positions

__all__ = [
    "EFFORTS",
    "FULL",
    "MOST_PRODUCTS_FOR_RESTARTS",
    "ROUNDING_DAMPING",
    "Effort",
    "LayerAtWidth",
    "LayerReconstruction",
    "LinearizedOutput",
    "correct_codes",
    "factored",
    "in_space_of_positions",
    "quantize_at_widths",
    "reconstruct_with_activation",
    "refit",
]

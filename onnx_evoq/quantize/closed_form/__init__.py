"""The closed forms: the best weights of a layer for the second moments of its inputs."""

from onnx_evoq.quantize.closed_form.activation import Activation
from onnx_evoq.quantize.closed_form.at_widths import LayerAtWidth, quantize_at_widths
from onnx_evoq.quantize.closed_form.best_weight import refit
from onnx_evoq.quantize.closed_form.columns_and_targets import LayerSamples, SampleChunk
from onnx_evoq.quantize.closed_form.correct_output import LinearizedOutput, correct_codes
from onnx_evoq.quantize.closed_form.equalize import Profile, choose_scales, round_alone
from onnx_evoq.quantize.closed_form.layer_reconstruction import (
    LayerReconstruction,
    reconstruct_with_activation,
)

__all__ = [
    "Activation",
    "LayerAtWidth",
    "LayerReconstruction",
    "LayerSamples",
    "LinearizedOutput",
    "Profile",
    "SampleChunk",
    "choose_scales",
    "correct_codes",
    "quantize_at_widths",
    "reconstruct_with_activation",
    "refit",
    "round_alone",
]

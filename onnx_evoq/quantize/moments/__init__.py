"""What a layer shall give: its columns and targets, with their second moments."""

from onnx_evoq.quantize.moments.activation import Activation
from onnx_evoq.quantize.moments.bias_correction import corrected_bias
from onnx_evoq.quantize.moments.columns_and_targets import (
    LayerSamples,
    SampleChunk,
    joined,
    less_means,
    transposed,
)
from onnx_evoq.quantize.moments.moment_sums import MomentSums
from onnx_evoq.quantize.moments.moments import Moments

__all__ = [
    "Activation",
    "LayerSamples",
    "MomentSums",
    "Moments",
    "SampleChunk",
    "corrected_bias",
    "joined",
    "less_means",
    "transposed",
]

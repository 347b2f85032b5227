"""What a layer shall give: its columns and targets, with their second moments."""

from onnx_evoq.quantize.moments.activation import Activation
from onnx_evoq.quantize.moments.bias_correction import corrected_bias
from onnx_evoq.quantize.moments.columns_and_targets import Elsewhere, LayerSamples
from onnx_evoq.quantize.moments.heldout_losses import HeldoutLosses
from onnx_evoq.quantize.moments.moment_sums import MomentSums
from onnx_evoq.quantize.moments.moments import Moments
from onnx_evoq.quantize.moments.sample_chunk import SampleChunk, joined, less_means, transposed
from onnx_evoq.quantize.moments.sums_of_chunk import (
    ChunkSums,
    TargetSums,
    chunk_sums,
    first_origins,
)
from onnx_evoq.quantize.moments.targets_behind import TargetsBehind

__all__ = [
    "Activation",
    "ChunkSums",
    "Elsewhere",
    "HeldoutLosses",
    "LayerSamples",
    "MomentSums",
    "Moments",
    "SampleChunk",
    "TargetSums",
    "TargetsBehind",
    "chunk_sums",
    "corrected_bias",
    "first_origins",
    "joined",
    "less_means",
    "transposed",
]

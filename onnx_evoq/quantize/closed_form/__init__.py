"""Knows the closed forms: the best weights of a layer for what was seen of its inputs."""

from onnx_evoq.quantize.closed_form.activation import Clamp
from onnx_evoq.quantize.closed_form.at_widths import Rung, ladder
from onnx_evoq.quantize.closed_form.best_weight import refit
from onnx_evoq.quantize.closed_form.correct_output import Steering, steer
from onnx_evoq.quantize.closed_form.equalize import Profile, choose_scales, round_alone
from onnx_evoq.quantize.closed_form.layer_samples import Chunk, Samples
from onnx_evoq.quantize.closed_form.reconstruct import Reconstruction, reconstruct_behind

__all__ = [
    "Chunk",
    "Clamp",
    "Profile",
    "Reconstruction",
    "Rung",
    "Samples",
    "Steering",
    "choose_scales",
    "ladder",
    "reconstruct_behind",
    "refit",
    "round_alone",
    "steer",
]

"""Runs a model that changes weight by weight."""

from onnx_evoq.engine.activation_cache import Front
from onnx_evoq.engine.bias_jacobian import probe
from onnx_evoq.engine.evaluators import Engine
from onnx_evoq.engine.layer_samples import POSITIONS, LayerTensors, layer_samples
from onnx_evoq.engine.sensitivity import rank_weights
from onnx_evoq.engine.sketch import Sketch, float_outputs

__all__ = [
    "POSITIONS",
    "Engine",
    "Front",
    "LayerTensors",
    "Sketch",
    "float_outputs",
    "layer_samples",
    "probe",
    "rank_weights",
]

"""Runs and scores a model whose weights change one by one, without running all of it each time."""

from onnx_evoq.engine.activation_cache import ActivationCache, BatchTensors, specs_of
from onnx_evoq.engine.bias_jacobian import jacobian_of_bias
from onnx_evoq.engine.evaluators import Evaluators
from onnx_evoq.engine.layer_samples import POSITIONS, gather_samples
from onnx_evoq.engine.layer_tensors import LayerTensors
from onnx_evoq.engine.sensitivity import rank_by_sensitivity
from onnx_evoq.engine.sketch import Sketch, float_outputs

__all__ = [
    "POSITIONS",
    "ActivationCache",
    "BatchTensors",
    "Evaluators",
    "LayerTensors",
    "Sketch",
    "float_outputs",
    "gather_samples",
    "jacobian_of_bias",
    "rank_by_sensitivity",
    "specs_of",
]

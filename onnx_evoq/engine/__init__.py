"""Runs and scores a model whose weights change one by one, without running all of it each time."""

from onnx_evoq.engine.activation_cache import ActivationCache
from onnx_evoq.engine.bias_jacobian import jacobian_of_bias
from onnx_evoq.engine.cuts import BatchTensors, HeldNetwork, Shards, hold_network, specs_of
from onnx_evoq.engine.evaluators import Evaluators
from onnx_evoq.engine.frontier import (
    Ahead,
    Frontier,
    SentAhead,
    SentFrontier,
    gather_on_workers,
)
from onnx_evoq.engine.influence import constant_outputs, unmoved_outputs
from onnx_evoq.engine.layer_activations import LayerActivations, gather_at
from onnx_evoq.engine.layer_power import LayerPower, layer_powers
from onnx_evoq.engine.samples import (
    POSITIONS,
    Around,
    AtLayer,
    batches_of_section,
    drawn_positions,
    gather_samples,
    mean_positions,
    output_shape,
    positions_for,
    sources_of,
)
from onnx_evoq.engine.sensitivity import rank_by_sensitivity, rank_in_time, samples_in_time
from onnx_evoq.engine.sketch import Sketch, float_outputs

__all__ = [
    "POSITIONS",
    "ActivationCache",
    "Ahead",
    "Around",
    "AtLayer",
    "BatchTensors",
    "Evaluators",
    "Frontier",
    "HeldNetwork",
    "LayerActivations",
    "LayerPower",
    "SentAhead",
    "SentFrontier",
    "Shards",
    "Sketch",
    "batches_of_section",
    "constant_outputs",
    "drawn_positions",
    "float_outputs",
    "gather_at",
    "gather_on_workers",
    "gather_samples",
    "hold_network",
    "jacobian_of_bias",
    "layer_powers",
    "mean_positions",
    "output_shape",
    "positions_for",
    "rank_by_sensitivity",
    "rank_in_time",
    "samples_in_time",
    "sources_of",
    "specs_of",
    "unmoved_outputs",
]

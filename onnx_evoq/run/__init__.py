"""Knows time and failure: what runs in which order, for how long, and how it shows its progress."""

from onnx_evoq.run.deadline import Deadline
from onnx_evoq.run.layerwise import Evolved, LayerScores, Quantized, SearchSettings, evolve_layers
from onnx_evoq.run.progress import Progress, bars, silent
from onnx_evoq.run.scoring import ScoringSet, layer_evaluators, model_value
from onnx_evoq.run.sensitivity import rank_weights

__all__ = [
    "Deadline",
    "Evolved",
    "LayerScores",
    "Progress",
    "Quantized",
    "ScoringSet",
    "SearchSettings",
    "bars",
    "evolve_layers",
    "layer_evaluators",
    "model_value",
    "rank_weights",
    "silent",
]

"""Searches over the codes of a network."""

from onnx_evoq.evolve.coevolution import coevolve
from onnx_evoq.evolve.layerwise import (
    FROM_NEAREST,
    FROM_RECONSTRUCTION,
    TOGETHER_FROM_NEAREST,
    TOGETHER_FROM_RECONSTRUCTION,
    Evolved,
    SearchSettings,
    evolve_layers,
)
from onnx_evoq.evolve.refinement import refine_layers

__all__ = [
    "FROM_NEAREST",
    "FROM_RECONSTRUCTION",
    "TOGETHER_FROM_NEAREST",
    "TOGETHER_FROM_RECONSTRUCTION",
    "Evolved",
    "SearchSettings",
    "coevolve",
    "evolve_layers",
    "refine_layers",
]

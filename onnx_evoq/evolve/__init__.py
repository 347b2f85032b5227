"""Searches over the codes of a network."""

from onnx_evoq.evolve.coevolution import coevolve
from onnx_evoq.evolve.formats import (
    GENERATION,
    POPULATION,
    Formats,
    GenomeShape,
    Scored,
    evolve_formats,
)
from onnx_evoq.evolve.layerwise import evolve_layers, evolve_within_max_drop
from onnx_evoq.evolve.settings import (
    FROM_NEAREST,
    FROM_RECONSTRUCTION,
    TOGETHER_FROM_NEAREST,
    TOGETHER_FROM_RECONSTRUCTION,
    Evolved,
    SearchSettings,
)

__all__ = [
    "FROM_NEAREST",
    "FROM_RECONSTRUCTION",
    "GENERATION",
    "POPULATION",
    "TOGETHER_FROM_NEAREST",
    "TOGETHER_FROM_RECONSTRUCTION",
    "Evolved",
    "Formats",
    "GenomeShape",
    "Scored",
    "SearchSettings",
    "coevolve",
    "evolve_formats",
    "evolve_layers",
    "evolve_within_max_drop",
]

"""Knows the matrix product within a node: its weight, its matrix, and what the node adds to it."""

from onnx_evoq.model.products.fused import (
    added_terms,
    fused_activation,
    goes_on,
    has_inner_product,
    scales_terms,
)
from onnx_evoq.model.products.matrix_of import bias_position
from onnx_evoq.model.products.weight_reads import Read, WeightReads

__all__ = [
    "Read",
    "WeightReads",
    "added_terms",
    "bias_position",
    "fused_activation",
    "goes_on",
    "has_inner_product",
    "scales_terms",
]

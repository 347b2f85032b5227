"""Knows the graph of an ONNX file: reads, checks and folds it, finds its weights, emits it."""

from onnx_evoq.model.graph.emit import Quantized, emit_float, emit_qdq, replace_weights, with_codes
from onnx_evoq.model.graph.fold import fold_batch_norm
from onnx_evoq.model.graph.inputs import input_specs
from onnx_evoq.model.graph.load import Model, data_files, load, name_of, serialize, size_in_bytes
from onnx_evoq.model.graph.nodes import (
    FLOAT_TYPES,
    all_nodes,
    attribute,
    bodies,
    constant_tensors,
    constants_of,
    is_standard,
    names_in_use,
    node_label,
    opset_of,
    reader_counts,
    reads,
    unused_name,
)
from onnx_evoq.model.graph.one_node import (
    MOST_VALUES,
    NodeValues,
    Shape,
    count,
    shapes_of,
    values_of,
)
from onnx_evoq.model.graph.packed import bytes_besides, packed_bytes
from onnx_evoq.model.graph.weights import Skipped, Weight, check_finite, find_weights, weights_named

__all__ = [
    "FLOAT_TYPES",
    "MOST_VALUES",
    "Model",
    "NodeValues",
    "Quantized",
    "Shape",
    "Skipped",
    "Weight",
    "all_nodes",
    "attribute",
    "bodies",
    "bytes_besides",
    "check_finite",
    "constant_tensors",
    "constants_of",
    "count",
    "data_files",
    "emit_float",
    "emit_qdq",
    "find_weights",
    "fold_batch_norm",
    "input_specs",
    "is_standard",
    "load",
    "name_of",
    "names_in_use",
    "node_label",
    "opset_of",
    "packed_bytes",
    "reader_counts",
    "reads",
    "replace_weights",
    "serialize",
    "shapes_of",
    "size_in_bytes",
    "unused_name",
    "values_of",
    "weights_named",
    "with_codes",
]

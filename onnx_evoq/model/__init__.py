"""Knows ONNX: the only room that imports onnx.

Load a file, find its weights, fold BatchNormalization, cut the graph at a layer, emit the result.
"""

from onnx_evoq.model.biases import initializer_values, own_biases
from onnx_evoq.model.cut import Cut, bridge, cut_at, suffix, uncut
from onnx_evoq.model.emit import Quantized, emit_float, emit_qdq, replace_weights, with_codes
from onnx_evoq.model.expand import (
    Reader,
    bytes_per_copy,
    expand_channels,
    first_of,
    outliers,
    readers_of,
    splits_of,
)
from onnx_evoq.model.expansion import expansions
from onnx_evoq.model.fold import fold_batch_norm
from onnx_evoq.model.graph import opset_of
from onnx_evoq.model.inputs import input_specs
from onnx_evoq.model.layers import Layer, find_layers
from onnx_evoq.model.load import Model, data_files, load, name_of, serialize, size_in_bytes
from onnx_evoq.model.packed import bytes_besides, packed_bytes
from onnx_evoq.model.scales import ChannelGroups, channel_groups, rescaled
from onnx_evoq.model.weights import Skipped, Weight, check_finite, find_weights, weights_named

__all__ = [
    "ChannelGroups",
    "Cut",
    "Layer",
    "Model",
    "Quantized",
    "Reader",
    "Skipped",
    "Weight",
    "bridge",
    "bytes_besides",
    "bytes_per_copy",
    "channel_groups",
    "check_finite",
    "cut_at",
    "data_files",
    "emit_float",
    "emit_qdq",
    "expand_channels",
    "expansions",
    "find_layers",
    "find_weights",
    "first_of",
    "fold_batch_norm",
    "initializer_values",
    "input_specs",
    "load",
    "name_of",
    "opset_of",
    "outliers",
    "own_biases",
    "packed_bytes",
    "readers_of",
    "replace_weights",
    "rescaled",
    "serialize",
    "size_in_bytes",
    "splits_of",
    "suffix",
    "uncut",
    "weights_named",
    "with_codes",
]

"""The statistics that BatchNormalization nodes gathered in training."""

from collections.abc import Collection
from dataclasses import dataclass

from onnx import ModelProto, NodeProto, helper

from onnx_evoq.array_types import Float64Array
from onnx_evoq.model.graph import Network, attribute, is_standard, part_of, reads
from onnx_evoq.model.inputs.constants import Constants


@dataclass(frozen=True, eq=False)
class NormStatistics:
    """The statistics of a tensor that a BatchNormalization reads.

    Attributes:
        tensor: the name of the tensor, (samples, channels, ...).
        mean: (channels,).
        variance: (channels,), with what the node adds to it.
    """

    tensor: str
    mean: Float64Array
    variance: Float64Array


def norm_statistics(model: ModelProto) -> list[NormStatistics]:
    """The statistics of all BatchNormalization nodes, in the order of the nodes.

    Args:
        model: a model as `load` returns it.
    """
    constants, found = Constants(model.graph), []
    for node in model.graph.node:
        if node.op_type == "BatchNormalization" and is_standard(node):
            mean, variance = (constants.values(name) for name in node.input[3:5])
            if mean is not None and variance is not None and mean.ndim == 1:
                variance = variance + attribute(node, "epsilon", 1e-5)
                found.append(NormStatistics(node.input[0], mean, variance))
    return found


def computing(model: ModelProto, tensors: Collection[str]) -> Network:
    """The part of a model that computes some of its tensors; these are its outputs.

    Args:
        model: the model.
        tensors: names of tensors that nodes of the main graph compute.
    """
    needed, nodes = set(tensors), list[NodeProto]()
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            nodes.insert(0, node)
            needed |= reads(node)
    inputs = [value for value in model.graph.input if value.name in needed]
    outputs = [helper.make_empty_tensor_value_info(name) for name in tensors]
    return part_of(model, nodes, inputs, outputs)

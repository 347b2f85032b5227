"""A model with other values for some of its initializers, which stand beside it.

A search changes weights many times, and a model may hold hundreds of megabytes of them. So the
values are kept in arrays beside the model, which itself never changes and is never copied. A
session of ONNX Runtime takes a graph whose initializers hold no data, and the arrays with it.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from onnx_evoq.array_types import Array
from onnx_evoq.model.graph.copies import copy_fields
from onnx_evoq.model.graph.nodes import FLOAT_TYPES, reads
from onnx_evoq.model.tensors import array_of, bytes_of, count_of, is_external, state
from onnx_evoq.quantize import QuantizedWeight

Value: TypeAlias = Array | QuantizedWeight | TensorProto

# So few floats of an initializer stay in the graph, where shapes may follow from them.
_FEW_VALUES = 64
_VERY_MANY_BYTES = 2**28  # of any type


@dataclass(frozen=True, eq=False)
class Network:
    """A model, and the values that some of its initializers have instead of their own.

    Attributes:
        model: the model; it does not change.
        values: by name, an array of as many values, codes on a grid, or another initializer.
    """

    model: ModelProto
    values: Mapping[str, Value] = field(default_factory=dict)

    @property
    def graph(self) -> GraphProto:
        """The graph of the model."""
        return self.model.graph

    def with_values(self, changed: Mapping[str, Value]) -> "Network":
        """The same model with other values for some initializers.

        Args:
            changed: by name, as in `values`.
        """
        return replace(self, values={**self.values, **changed})

    def value(self, tensor: TensorProto) -> Array:
        """The values of an initializer of the model, in its type and shape."""
        value = self.values.get(tensor.name, tensor)
        if isinstance(value, TensorProto):
            array: Array = array_of(value)
        else:
            array = value.values if isinstance(value, QuantizedWeight) else value
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        return np.ascontiguousarray(array, dtype).reshape(tuple(tensor.dims))


Runnable: TypeAlias = ModelProto | Network


def as_network(model: Runnable) -> Network:
    """The network of a model without other values; a network stays as it is."""
    return model if isinstance(model, Network) else Network(model)


def with_codes(model: Runnable, quantized: Mapping[str, QuantizedWeight]) -> Network:
    """The model with each quantized weight replaced by ``step * codes``."""
    return as_network(model).with_values(quantized)


def to_model(network: Network, without: Container[str] = ()) -> ModelProto:
    """A model of its own with the values of a network.

    Args:
        network: the network.
        without: names of initializers that the model shall not have.
    """
    model = ModelProto()
    copy_fields(network.model, model, "graph")
    copy_fields(network.graph, model.graph, "initializer")
    for tensor in network.graph.initializer:
        if tensor.name in without:
            continue
        if tensor.name in network.values:
            tensor = numpy_helper.from_array(network.value(tensor), tensor.name)
        model.graph.initializer.append(tensor)
    return model


def same(one: Network, other: Network) -> bool:
    """Whether two networks are equal, values included; equal arrays need not be the same."""
    return (
        one.values.keys() == other.values.keys()
        and all(_equal(value, other.values[name]) for name, value in one.values.items())
        and one.model == other.model
    )


def _equal(one: Value, other: Value) -> bool:
    if isinstance(one, TensorProto) or isinstance(other, TensorProto):
        return one is other or (type(one) is type(other) and bool(one == other))
    if isinstance(one, QuantizedWeight) or isinstance(other, QuantizedWeight):
        return one is other or (
            isinstance(one, QuantizedWeight)
            and isinstance(other, QuantizedWeight)
            and one.codes.shape == other.codes.shape
            and all(
                np.array_equal(block, of_other)
                for (_, block), (_, of_other) in zip(
                    one.value_blocks(), other.value_blocks(), strict=True
                )
            )
        )
    return one is other or np.array_equal(one, other)


def part_of(
    model: Runnable,
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
) -> Network:
    """Some nodes of a model as a network of their own, with the initializers that they read.

    The initializers of its graph hold no data if they are large or have other values.

    Args:
        model: the model.
        nodes: nodes of its graph, in its order.
        inputs: the inputs of the part; initializers of these names are left out.
        outputs: the outputs of the part.
    """
    whole = as_network(model)
    read = {name for node in nodes for name in reads(node)} | {value.name for value in outputs}
    read -= {value.name for value in inputs}
    tensors, values = [], dict[str, Value]()
    for tensor in whole.graph.initializer:
        if tensor.name not in read:
            continue
        if tensor.name not in whole.values and not _stands_beside(tensor):
            tensors.append(tensor)
            continue
        tensors.append(_without_data(tensor))
        values[tensor.name] = whole.values.get(tensor.name, tensor)
    graph = helper.make_graph(nodes, whole.graph.name or "graph", inputs, outputs, tensors)
    part = helper.make_model(
        graph, opset_imports=whole.model.opset_import, ir_version=whole.model.ir_version
    )
    return Network(part, values)


def without_files(network: Network) -> Network:
    """The same model with all values at hand, none in a data file.

    Raises:
        ModelError: a data file is gone, or changed.
    """
    values: dict[str, Value] = {
        tensor.name: tensor for tensor in network.graph.initializer if is_external(tensor)
    }
    outside = {
        name: array_of(value)
        for name, value in {**values, **network.values}.items()
        if isinstance(value, TensorProto) and is_external(value)
    }
    if not outside:
        return network
    graph = network.graph
    return part_of(network.with_values(outside), graph.node, graph.input, graph.output)


def _stands_beside(tensor: TensorProto) -> bool:
    """Whether the values of an initializer are so many that they stand beside the graph."""
    if is_external(tensor):  # they do so already
        return False
    many = tensor.data_type in FLOAT_TYPES and count_of(tensor) > _FEW_VALUES
    return many or bytes_of(tensor) > _VERY_MANY_BYTES


def _without_data(tensor: TensorProto) -> TensorProto:
    """An initializer that says that its data are elsewhere."""
    bare = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    state(bare, "memory", 0, 0)
    return bare

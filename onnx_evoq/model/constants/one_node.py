"""Compute the outputs of a single node, or their shapes alone, from known inputs."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from onnx import (
    ModelProto,
    NodeProto,
    TensorProto,
    TypeProto,
    defs,
    helper,
    numpy_helper,
    shape_inference,
)
from onnx.reference import ReferenceEvaluator

from onnx_evoq.array_types import Array
from onnx_evoq.model.graph import node_label, opset_of

NodeValues: TypeAlias = Array
Shape: TypeAlias = tuple[int, ...]

MOST_VALUES = 1 << 24  # of one tensor: larger tensors are not computed
_MOST_SHAPE_VALUES = 1024  # of an input that may be a shape or a list of axes


def values_of(
    node: NodeProto,
    inputs: Sequence[NodeValues | None],
    constant: Sequence[bool],
    model: ModelProto,
    most: int | None = None,
) -> list[NodeValues]:
    """The outputs of `node` as the reference implementation of ONNX computes them.

    Args:
        node: a node of ONNX's own operator set, without graphs inside it.
        inputs: one array per input of the node, None for an input that the node leaves out.
        constant: for each input, whether the array has the type and the values that the node reads
            when the model runs, so that the shapes of the outputs may depend on it.
        model: the model of the node, which states its operator set.
        most: the values that an output may have, MOST_VALUES unless given.

    Raises:
        ValueError: the node cannot be computed from the inputs, an output has too many values or
            is no tensor, or all inputs are constants and an output has another type than it should.
    """
    most = MOST_VALUES if most is None else most
    shapes = shapes_of(node, inputs, constant, model)
    if any(shape is not None and count(shape) > most for shape in shapes):
        raise ValueError(f"{node_label(node)} makes more than {most} values")
    values = run_alone(node, inputs, model)
    if any(isinstance(value, list) for value in values):
        raise ValueError(f"{node_label(node)} makes a sequence")
    arrays = [np.asarray(value) for value in values]
    if all(constant):
        _check_types(node, inputs, arrays, model)
    return arrays


def run_alone(
    node: NodeProto, inputs: Sequence[NodeValues | list[NodeValues] | None], model: ModelProto
) -> list[Any]:
    """The outputs of `node`, however large: arrays, and lists of arrays for sequences.

    Args:
        node: a node of ONNX's own operator set, without graphs inside it.
        inputs: one array or list per input of the node, None for an input that the node leaves out.
        model: the model of the node, which states its operator set.

    Raises:
        ValueError: the node cannot be computed from the inputs.
    """
    renamed = _renamed(node)
    named = zip(renamed.input, inputs, strict=True)
    feed = {name: value for name, value in named if value is not None}
    graph = helper.make_graph(
        [renamed],
        "node",
        [helper.make_empty_tensor_value_info(name) for name in feed],
        [helper.make_empty_tensor_value_info(name) for name in node.output if name],
    )
    alone = helper.make_model(graph, opset_imports=model.opset_import)
    try:
        return list(ReferenceEvaluator(alone).run(None, feed))
    except MemoryError:
        raise
    except Exception as cause:  # each operator raises kinds of its own
        raise ValueError(f"{node_label(node)} cannot be computed: {cause}") from cause


def shapes_of(
    node: NodeProto,
    inputs: Sequence[NodeValues | None],
    constant: Sequence[bool],
    model: ModelProto,
) -> list[Shape | None]:
    """The shapes of the outputs of `node`, None for one that the inputs do not determine.

    The arguments are those of `values_of`.
    """
    renamed = _renamed(node)
    types, data = {}, {}
    for name, value, known in zip(renamed.input, inputs, constant, strict=True):
        if value is not None:
            # Only indices, sizes and flags need their type: no shape depends on the other types.
            dtype = value.dtype if known and value.dtype.kind in "biu" else np.dtype(np.float32)
            types[name] = _tensor_type(dtype, value.shape)
            if known and value.size <= _MOST_SHAPE_VALUES and value.dtype == dtype:
                data[name] = numpy_helper.from_array(value, name)
    return [
        None if kind is None else _full_shape(kind)
        for kind in _inferred(renamed, types, data, model)
    ]


def count(shape: Shape) -> int:
    """The number of values of a tensor of that shape."""
    return int(np.prod(shape, dtype=np.int64))


def _check_types(
    node: NodeProto,
    inputs: Sequence[NodeValues | None],
    outputs: Sequence[NodeValues],
    model: ModelProto,
) -> None:
    """Raise a ValueError if an output has another type than the operator gives."""
    renamed = _renamed(node)
    types = {
        name: _tensor_type(value.dtype, value.shape)
        for name, value in zip(renamed.input, inputs, strict=True)
        if value is not None
    }
    kinds = [
        kind
        for name, kind in zip(node.output, _inferred(renamed, types, {}, model), strict=True)
        if name
    ]
    for kind, value in zip(kinds, outputs, strict=True):
        stated = TensorProto.UNDEFINED if kind is None else kind.tensor_type.elem_type
        if stated not in (TensorProto.UNDEFINED, helper.np_dtype_to_tensor_dtype(value.dtype)):
            raise ValueError(f"{node_label(node)} is computed as {value.dtype}")


def _tensor_type(dtype: np.dtype[Any], shape: Shape) -> TypeProto:
    return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(dtype), shape)


def _inferred(
    node: NodeProto,
    types: Mapping[str, TypeProto],
    data: Mapping[str, TensorProto],
    model: ModelProto,
) -> list[TypeProto | None]:
    """The types of the outputs of a node, None for one that is not known."""
    try:
        schema = defs.get_schema(node.op_type, opset_of(model), "")
        found = shape_inference.infer_node_outputs(
            schema, node, dict(types), dict(data), opset_imports=list(model.opset_import)
        )
    except Exception:  # there is no such operator, or the inputs do not suit it: several kinds
        return [None for _ in node.output]
    return [found.get(name) for name in node.output]


def _full_shape(kind: TypeProto) -> Shape | None:
    """The shape of a tensor, None if the size of an axis is not known."""
    tensor = kind.tensor_type
    if not tensor.HasField("shape") or not all(d.HasField("dim_value") for d in tensor.shape.dim):
        return None
    return tuple(d.dim_value for d in tensor.shape.dim)


def _renamed(node: NodeProto) -> NodeProto:
    """The node with another name for each input, so that a tensor may be given twice."""
    renamed = NodeProto()
    renamed.CopyFrom(node)
    for position, name in enumerate(node.input):
        renamed.input[position] = f"input {position}" if name else ""
    return renamed

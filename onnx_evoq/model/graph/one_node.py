"""What a single node makes of inputs that are known: values, or shapes alone."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from onnx import ModelProto, NodeProto, TypeProto, defs, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from onnx_evoq.array_types import Array
from onnx_evoq.model.graph.nodes import node_label, opset_of

NodeValues: TypeAlias = Array
Shape: TypeAlias = tuple[int, ...]

MOST_VALUES = 1 << 24  # of one tensor: larger ones are not made
_SMALL = 1024  # values of a shape, a list of axes or the like


def values_of(
    node: NodeProto,
    inputs: Sequence[NodeValues | None],
    constant: Sequence[bool],
    model: ModelProto,
) -> list[NodeValues]:
    """The outputs of `node` as the reference implementation of ONNX computes them.

    Args:
        node: a node of ONNX's own operator set, without graphs inside it.
        inputs: one array per input of the node, None for one that the node leaves out.
        constant: for each input, whether the array has the type and the values that the node will
            read, so that the shapes of the outputs may follow from it.
        model: where the node comes from, for its operator set.

    Raises:
        ValueError: the inputs do not suit the node, or an output is too large.
    """
    shapes = shapes_of(node, inputs, constant, model)
    if any(shape is not None and count(shape) > MOST_VALUES for shape in shapes):
        raise ValueError(f"{node_label(node)} makes more than {MOST_VALUES} values")
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
        return [np.asarray(value) for value in ReferenceEvaluator(alone).run(None, feed)]
    except MemoryError:
        raise
    except Exception as cause:  # of any kind, as each operator has its own
        raise ValueError(f"{node_label(node)} cannot be computed: {cause}") from cause


def shapes_of(
    node: NodeProto,
    inputs: Sequence[NodeValues | None],
    constant: Sequence[bool],
    model: ModelProto,
) -> list[Shape | None]:
    """The shapes of the outputs of `node`, None for one that does not follow from the inputs.

    Args:
        node: as for `values_of`, and so the others; a single sample will do.
    """
    renamed = _renamed(node)
    types, data = {}, {}
    for name, value, known in zip(renamed.input, inputs, constant, strict=True):
        if value is not None:
            # Only indices, sizes and flags must have their type: shapes do not depend on others.
            dtype = value.dtype if known and value.dtype.kind in "biu" else np.dtype(np.float32)
            kind = helper.np_dtype_to_tensor_dtype(dtype)
            types[name] = helper.make_tensor_type_proto(kind, value.shape)
            if known and value.size <= _SMALL and value.dtype == dtype:
                data[name] = numpy_helper.from_array(value, name)
    try:
        schema = defs.get_schema(node.op_type, opset_of(model), "")
        made = shape_inference.infer_node_outputs(
            schema, renamed, types, data, opset_imports=list(model.opset_import)
        )
    except Exception:  # no such operator, or inputs that do not go together: several kinds
        return [None for _ in node.output]
    return [_stated(made[name]) if name in made else None for name in node.output]


def count(shape: Shape) -> int:
    """How many values a tensor of that shape has."""
    return int(np.prod(shape, dtype=np.int64))


def _stated(kind: TypeProto) -> Shape | None:
    """The shape of a tensor, if all of it is known."""
    tensor = kind.tensor_type
    if not tensor.HasField("shape") or not all(d.HasField("dim_value") for d in tensor.shape.dim):
        return None
    return tuple(d.dim_value for d in tensor.shape.dim)


def _renamed(node: NodeProto) -> NodeProto:
    """The node with a name of its own for each input, so that one tensor may stand for two."""
    renamed = NodeProto()
    renamed.CopyFrom(node)
    for position, name in enumerate(node.input):
        renamed.input[position] = f"input {position}" if name else ""
    return renamed

"""Describe the inputs that a model must be fed."""

import math

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from onnx_evoq.errors import ModelError
from onnx_evoq.signature import TensorSpec


def weight_count(model: ModelProto) -> int:
    """How many numbers the initializers of a model hold, tables that are looked up left out."""
    tables = {node.input[0] for node in model.graph.node if node.op_type == "Gather"}
    return sum(
        math.prod(tensor.dims) for tensor in model.graph.initializer if tensor.name not in tables
    )


def input_specs(model: ModelProto) -> list[TensorSpec]:
    """The type and the shape of each of the model's inputs, in their order.

    Args:
        model: a model as `load` returns it (there, no initializer is listed as an input).

    Raises:
        ModelError: an input is not a tensor of numbers.
    """
    return [_spec(value) for value in model.graph.input]


def _spec(value: ValueInfoProto) -> TensorSpec:
    if not value.type.HasField("tensor_type"):
        raise ModelError(
            f"input {value.name!r} is not a tensor (a sequence, map or optional): "
            "export the model with tensor inputs only."
        )
    tensor = value.type.tensor_type
    if tensor.elem_type not in TensorProto.DataType.values() or not tensor.elem_type:
        raise ModelError(f"input {value.name!r} states no type of ONNX: export the model again.")
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    if dtype.kind not in "biufOSU":
        raise ModelError(
            f"input {value.name!r} holds {dtype}: export the model with float32 inputs."
        )
    if not tensor.HasField("shape"):
        return TensorSpec(value.name, dtype, None)
    shape = tuple(
        d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None
        for d in tensor.shape.dim
    )
    return TensorSpec(value.name, dtype, shape)

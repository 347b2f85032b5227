"""The inputs of a part of a model, with the sizes that are safe to state.

All samples show the sizes of a tensor, and ONNX Runtime needs some of them: it infers wrong shapes
from an integer vector of unknown length. But nodes in a body (a branch of an If, say) may be there
for other sizes and never run on these samples. They would not load with sizes that do not fit them.

1. A part without bodies states all sizes that the samples agree on, since all of its nodes run.
2. A part with bodies states an input of the model as the model does, and a tensor between as shape
   inference of the model finds it. An integer vector has the length that the samples show.
3. What inference does not reach (behind an operator of another domain) has a rank, but no sizes.
"""

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto, ValueInfoProto, helper, shape_inference

from onnx_evoq.model.graph import Runnable, bodies, part_of, reads
from onnx_evoq.signature import TensorSpec


def part_inputs(
    model: Runnable, nodes: Sequence[NodeProto], known: Sequence[TensorSpec]
) -> list[ValueInfoProto]:
    """The inputs of a part of a model.

    Args:
        model: the model.
        nodes: the nodes of the part.
        known: the types and shapes of the inputs, which the samples show.
    """
    if not any(True for node in nodes for _ in bodies(node)):
        return [_typed(spec) for spec in known]  # rule 1
    stated = {value.name: value for value in model.graph.input}
    inferred = _inferred(model, [spec.name for spec in known if spec.name not in stated])
    return [stated.get(spec.name) or _opened(spec, inferred) for spec in known]


def _opened(spec: TensorSpec, inferred: dict[str, ValueInfoProto]) -> ValueInfoProto:
    """The input without the sizes that only the samples have."""
    vector = spec.shape is not None and len(spec.shape) <= 1
    if vector and np.dtype(spec.dtype).kind in "iu":
        return _typed(spec)
    if spec.name in inferred:
        return inferred[spec.name]  # rule 2
    shape = None if spec.shape is None else (None,) * len(spec.shape)
    return _typed(TensorSpec(spec.name, spec.dtype, shape))  # rule 3


def _inferred(model: Runnable, names: Sequence[str]) -> dict[str, ValueInfoProto]:
    """The types and shapes of tensors between, as far as they follow from the whole model."""
    needed, nodes = set(names), list[NodeProto]()
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            nodes.insert(0, node)
            needed |= reads(node)
    if not nodes:
        return {}
    wanted = [helper.make_empty_tensor_value_info(name) for name in names]
    part = part_of(model, nodes, list(model.graph.input), wanted).model
    part.graph.value_info.extend(model.graph.value_info)
    try:
        found = shape_inference.infer_shapes(part, data_prop=True).graph
    except shape_inference.InferenceError:  # it is stricter than ONNX Runtime with some operators
        return {}
    return {
        value.name: value
        for value in (*found.output, *found.value_info)
        if value.name in names and value.type.tensor_type.elem_type
    }


def _typed(spec: TensorSpec) -> ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(spec.dtype)
    return helper.make_tensor_value_info(spec.name, kind, spec.shape)

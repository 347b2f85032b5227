"""Compute the outputs of a node that reads constants, of operators of quantization as well."""

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, NodeProto, helper

from onnx_evoq.array_types import Array
from onnx_evoq.model.constants.one_node import run_alone, shapes_of, values_of
from onnx_evoq.model.graph import is_quantized, node_label

_QUANTIZATION_OPSET = 23
# Whose output may be of any size, whatever the size of their inputs.
_SIZED = {"ConstantOfShape", "EyeLike", "Expand", "OneHot", "Pad", "Range", "Resize", "Tile",
          "Upsample"}  # fmt: skip
_SEQUENCES = {
    "ConcatFromSequence", "SequenceAt", "SequenceConstruct", "SequenceErase", "SequenceInsert",
    "SequenceLength", "SplitToSequence",
}  # fmt: skip


def outputs_of(
    node: NodeProto, inputs: Sequence[Array | None], model: ModelProto, most: int
) -> list[Array]:
    """The outputs of a node that reads constants.

    Args:
        node: a node without graphs inside it.
        inputs: one array per input, None for an input that the node leaves out.
        model: the model of the node, which states its operator set.
        most: the values that an output may have.

    Returns:
        Arrays; a sequence as an array of arrays (entries,).

    Raises:
        ValueError: it cannot be computed, or an output has more than `most` values.
    """
    if node.op_type == "Identity" and inputs[0] is not None:
        return [inputs[0]]
    if node.op_type == "Dropout" and len(inputs) > 2 and inputs[2] is not None and inputs[2].any():
        raise ValueError(f"{node_label(node)} draws random numbers")
    if is_quantized(node):
        node, model = _newest(node)
    if node.op_type in _SEQUENCES:
        return _of_sequences(node, inputs, model)
    known = [True] * len(inputs)
    if node.op_type in _SIZED and None in shapes_of(node, inputs, known, model):
        raise ValueError(f"{node_label(node)} makes a tensor of unknown size")
    with np.errstate(all="ignore"):  # as ONNX Runtime does, which divides by 0
        outputs = values_of(node, inputs, known, model, most)
    if any(value.dtype.kind in "OSU" for value in outputs):
        raise ValueError(f"{node_label(node)} makes strings")
    return outputs


def is_sequence(value: Array) -> bool:
    """Whether a value of `outputs_of` is a sequence: an array of arrays."""
    return value.dtype == object


def _of_sequences(
    node: NodeProto, inputs: Sequence[Array | None], model: ModelProto
) -> list[Array]:
    """The outputs of a node that makes or reads sequences, which are no larger than its inputs."""
    lists = [list(value) if value is not None and is_sequence(value) else value for value in inputs]
    outputs = []
    for value in run_alone(node, lists, model):
        if isinstance(value, list):
            sequence = np.empty(len(value), object)
            for index, entry in enumerate(value):
                sequence[index] = np.asarray(entry)
            outputs.append(sequence)
        else:
            outputs.append(np.asarray(value))
    return outputs


def _newest(node: NodeProto) -> tuple[NodeProto, ModelProto]:
    """A node of quantization as one of ONNX's newest operator set, and a model of that set.

    It has the meaning of all older ones, and of those of ONNX Runtime's own domain.
    """
    changed = NodeProto()
    changed.CopyFrom(node)
    changed.domain = ""
    return changed, ModelProto(opset_import=[helper.make_opsetid("", _QUANTIZATION_OPSET)])

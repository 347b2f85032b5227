"""Copy a model: all of it, all but the values of large tensors, or into the bytes of a file."""

from google.protobuf.message import Message
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from onnx_evoq.model.graph.nodes import bodies, tensors_of
from onnx_evoq.model.tensors import bytes_of, is_external, state

Model = ModelProto  # the name for rooms that do not import onnx

_FEW_BYTES = 2**10  # of the values of a tensor that a copy holds, too


def copy_of(model: ModelProto) -> ModelProto:
    """A copy that shares nothing with `model`."""
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy


def serialize(model: ModelProto) -> bytes:
    """The bytes of a model file; the same model gives the same bytes."""
    return bytes(model.SerializeToString(deterministic=True))


def without_values(model: ModelProto, *, shapes: bool = False) -> ModelProto:
    """A copy of a model in which large tensors have no values.

    Args:
        model: the model.
        shapes: whether they keep their shapes, and state that their values are elsewhere;
            otherwise their shapes ask for no values, so that the copy is valid.
    """
    copy = ModelProto()
    copy_fields(model, copy, "graph")
    _copy_graph(model.graph, copy.graph, shapes)
    return copy


def copy_fields(source: Message, target: Message, *without: str) -> None:
    """Copy all fields that are set, except some."""
    for entry, content in source.ListFields():
        if entry.name in without:
            continue
        if entry.is_repeated:
            getattr(target, entry.name).extend(content)
        elif entry.message_type is not None:
            getattr(target, entry.name).CopyFrom(content)
        else:
            setattr(target, entry.name, content)


def _copy_graph(graph: GraphProto, copy: GraphProto, shapes: bool) -> None:
    copy_fields(graph, copy, "initializer", "node")
    for tensor in graph.initializer:
        _copy_tensor(tensor, copy.initializer.add(), shapes)
    for node in graph.node:
        if any(True for _ in bodies(node)) or any(map(_is_large, tensors_of(node))):
            _copy_node(node, copy.node.add(), shapes)
        else:
            copy.node.append(node)


def _copy_node(node: NodeProto, copy: NodeProto, shapes: bool) -> None:
    copy_fields(node, copy, "attribute")
    for attribute in node.attribute:
        own = copy.attribute.add()
        copy_fields(attribute, own, "t", "g", "graphs")
        if attribute.HasField("t"):
            _copy_tensor(attribute.t, own.t, shapes)
        if attribute.HasField("g"):
            _copy_graph(attribute.g, own.g, shapes)
        for graph in attribute.graphs:
            _copy_graph(graph, own.graphs.add(), shapes)


def _copy_tensor(tensor: TensorProto, copy: TensorProto, shapes: bool) -> None:
    if not _is_large(tensor):
        copy.CopyFrom(tensor)
        return
    copy.name, copy.data_type = tensor.name, tensor.data_type
    copy.dims.extend(tensor.dims if shapes else [0])
    if shapes:
        state(copy, "elsewhere", 0, 0)


def _is_large(tensor: TensorProto) -> bool:
    return is_external(tensor) or bytes_of(tensor) > _FEW_BYTES

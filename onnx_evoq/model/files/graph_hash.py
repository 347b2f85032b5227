"""A hash of all that a model computes with: its graph, functions, operator sets and values.

Metadata are left out, since they hold the hash. So is where values are stored: a model has the same
hash in one file, with a data file beside it, and in memory.
"""

from hashlib import sha256

from google.protobuf.message import Message
from onnx import ModelProto, TensorProto

from onnx_evoq.model.graph import copy_fields
from onnx_evoq.model.tensors import raw_blocks


def graph_hash(model: ModelProto) -> str:
    """The SHA-256 of a model without its metadata, as hexadecimal digits.

    Example:
        >>> graph_hash(ModelProto())[:8]
        'e3b0c442'
    """
    rest = ModelProto()
    copy_fields(model, rest, "graph", "metadata_props")
    copy_fields(model.graph, rest.graph, "initializer")
    if not rest.graph.ListFields():
        rest.ClearField("graph")
    found = sha256(_bytes_of(rest))
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.STRING:
            found.update(_bytes_of(tensor))
            continue
        head = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        found.update(_bytes_of(head))
        for block in raw_blocks(tensor):
            found.update(block.data)
    return found.hexdigest()


def _bytes_of(message: Message) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))

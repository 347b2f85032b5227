"""What ONNX Runtime loads: a graph, arrays beside it, and places in data files.

1. Initializers with few values are in the graph, since shapes may follow from them.
2. Values in a data file stay there, and ONNX Runtime maps the file.
3. Other values are arrays, of which ONNX Runtime makes a copy. Those of very many bytes, and all
   that no graph can hold, are written to a temporary data file, block by block.
4. Of very large tables, codes are looked up in place of floats (see `coded_tables`).
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from onnx import GraphProto, ModelProto, TensorProto, helper

from onnx_evoq.array_blocks import blocks
from onnx_evoq.array_types import Array, Arrays
from onnx_evoq.model.graph.coded_tables import with_coded_tables
from onnx_evoq.model.graph.copies import serialize
from onnx_evoq.model.graph.network import Network, Runnable, Value, part_of
from onnx_evoq.model.graph.nodes import needed_nodes
from onnx_evoq.model.tensors import (
    DataFile,
    bytes_of,
    count_of,
    is_external,
    place_of,
    raw_blocks,
    state,
)
from onnx_evoq.quantize import QuantizedWeight
from onnx_evoq.temporary_folder import named_file, no_room

_IN_MEMORY = 2**28  # bytes of an array, at most
_IN_GRAPH = 2**31 - 2**24  # bytes of all values in a graph, whose size protobuf bounds
_FEW_BYTES = 2**16  # stay in the graph
_MOST_FLOATS = 2**31 - 1  # bytes of a constant that ONNX Runtime computes


class Loadable(NamedTuple):
    """What ONNX Runtime loads.

    Attributes:
        content: the bytes of a model file.
        values: arrays of initializers that it does not hold, by name.
        folder: where the names of its data files start; "" if it names none.
        alone: whether a run needs so much memory that no other should be made beside it: each run
            makes floats of codes that are too many for ONNX Runtime to keep them.
    """

    content: bytes
    values: Arrays
    folder: str = ""
    alone: bool = False


@contextmanager
def to_run(
    model: Runnable, in_memory: int = _IN_MEMORY, in_graph: int = _IN_GRAPH
) -> Iterator[Loadable]:
    """What ONNX Runtime loads for a model; temporary files exist until it is loaded.

    Nodes that no output depends on are left out.

    Args:
        model: a model, whose file holds all unless it has a data file, or a network.
        in_memory: bytes of an array, at most; larger ones are written to a temporary file.
        in_graph: bytes of all values in the graph, at most.

    Raises:
        StorageError: there is no room for a temporary file.
    """
    graph = model.graph
    nodes = needed_nodes(graph)
    alone = len(nodes) == len(graph.node) and not any(map(is_external, graph.initializer))
    small = all(bytes_of(tensor) <= in_memory for tensor in graph.initializer)
    if isinstance(model, ModelProto) and alone and small and _held(graph) <= in_graph:
        yield Loadable(serialize(model), {}, alone=_makes_many_floats(graph))
        return
    part = part_of(model, nodes, list(graph.input), list(graph.output))
    part = with_coded_tables(part, in_memory)
    is_small = _held(part.graph) <= in_graph
    with ExitStack() as open_files:
        values, folder, file = dict[str, Array](), "", None
        for tensor in part.graph.initializer:
            size, beside = bytes_of(tensor), tensor.name in part.values
            if is_external(tensor) and not beside:
                place = place_of(tensor)
                folder = _name_from_root(tensor, place.path, place.offset, place.length)
            elif size > in_memory or (not beside and not is_small and size > _FEW_BYTES):
                file = file or open_files.enter_context(_temporary_file())
                offset = _appended(file, size, _parts(part, tensor))
                folder = _name_from_root(tensor, file.path, offset, size)
            elif beside:
                values[tensor.name] = part.value(tensor)
        yield Loadable(serialize(part.model), values, folder, _makes_many_floats(part.graph))


def _held(graph: GraphProto) -> int:
    """The bytes of the values that are in a graph."""
    return sum(bytes_of(tensor) for tensor in graph.initializer if not is_external(tensor))


def _makes_many_floats(graph: GraphProto) -> bool:
    """Whether codes are as many floats as no graph of ONNX Runtime holds."""
    many = {tensor.name for tensor in graph.initializer if 4 * count_of(tensor) > _MOST_FLOATS}
    return any(node.op_type == "DequantizeLinear" and node.input[0] in many for node in graph.node)


def _name_from_root(tensor: TensorProto, path: str, offset: int, length: int) -> str:
    """Let a tensor state a place as ONNX Runtime takes it, and return where its path starts."""
    root = Path(path).anchor
    state(tensor, path.removeprefix(root), offset, length)
    return root


@contextmanager
def _temporary_file() -> Iterator[DataFile]:
    with named_file() as file:
        yield DataFile(file, str(Path(file.name).resolve()))


def _appended(file: DataFile, length: int, parts: Iterable[Array]) -> int:
    try:
        return file.append(length, parts)
    except OSError as cause:
        raise no_room(file.end + length, cause) from cause


def _parts(network: Network, tensor: TensorProto) -> Iterable[Array]:
    """The values of an initializer in parts, in its type."""
    value: Value = network.values.get(tensor.name, tensor)
    if isinstance(value, TensorProto):
        return raw_blocks(value)
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    found = value.value_blocks() if isinstance(value, QuantizedWeight) else blocks(value)
    return (block.astype(dtype, copy=False) for _, block in found)

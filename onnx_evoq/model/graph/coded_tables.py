"""Look up codes in place of the floats that they stand for.

A Gather picks few rows of a table, so that the floats of all others are made in vain, and take four
times the memory of their codes. What is computed is the same, bit by bit:

    table (floats) -> Gather    becomes    codes (int8) -> Gather -> Cast -> Mul by the step

That holds for tables on a grid with one step that nothing but Gather reads.
"""

from onnx import NodeProto, TensorProto, helper, numpy_helper

from onnx_evoq.model.graph.network import Network, Value
from onnx_evoq.model.graph.nodes import (
    is_standard,
    names_in_use,
    reader_counts,
    replace_nodes,
    unused_name,
)
from onnx_evoq.model.tensors import bytes_of
from onnx_evoq.quantize import QuantizedWeight


def with_coded_tables(network: Network, large: int) -> Network:
    """The network with the codes of large tables as their values.

    Args:
        network: a network whose model is not used elsewhere; its nodes change.
        large: bytes of the floats of a table from which on it is looked up as codes.
    """
    graph = network.model.graph
    counts, used = reader_counts(graph), names_in_use(graph)
    values = dict[str, Value](network.values)
    for tensor in list(graph.initializer):
        weight = values.get(tensor.name)
        if not isinstance(weight, QuantizedWeight) or weight.grid.axis is not None:
            continue
        readers = [node for node in graph.node if _looks_up(node, tensor.name)]
        if bytes_of(tensor) < large or len(readers) != counts[tensor.name]:
            continue
        step = numpy_helper.from_array(weight.grid.step, unused_name(f"{tensor.name}_step", used))
        graph.initializer.append(step)
        nodes = [
            each
            for node in graph.node
            for each in (
                _decoded(node, tensor.data_type, step.name, used)
                if _looks_up(node, tensor.name)
                else [node]
            )
        ]
        replace_nodes(graph, nodes)
        tensor.data_type = TensorProto.INT8
        values[tensor.name] = weight.codes
    return Network(network.model, values)


def _looks_up(node: NodeProto, table: str) -> bool:
    return node.op_type == "Gather" and is_standard(node) and node.input[0] == table


def _decoded(node: NodeProto, data_type: int, step: str, used: set[str]) -> list[NodeProto]:
    """A Gather of codes, and what makes the numbers of them that the Gather of floats gave."""
    (output,) = node.output
    codes, floats, products = (
        unused_name(f"{output}_{part}", used) for part in ("codes", "floats", "products")
    )
    picked = NodeProto()
    picked.CopyFrom(node)
    picked.output[0] = codes
    is_float = data_type == TensorProto.FLOAT
    nodes = [
        picked,
        helper.make_node("Cast", [codes], [floats], to=TensorProto.FLOAT),
        helper.make_node("Mul", [floats, step], [output if is_float else products]),
    ]
    if not is_float:
        nodes.append(helper.make_node("Cast", [products], [output], to=data_type))
    return nodes

"""Clip the codes of activations that have fewer than their type holds."""

from collections.abc import Mapping

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from onnx_evoq.model.graph import names_in_use, replace_nodes, unused_name


def limit_codes(placed: ModelProto, limits: Mapping[str, tuple[int, int, str]]) -> None:
    """Clip the codes of activations, in place.

    Args:
        placed: a model with Q and DQ.
        limits: by the integer tensor: the lowest and the highest code, and the name of its type.
    """
    graph, used = placed.graph, names_in_use(placed.graph)
    nodes: list[NodeProto] = []
    renamed: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in renamed:
            node.input[0] = renamed[node.input[0]]
        nodes.append(node)
        if node.op_type == "QuantizeLinear" and node.output[0] in limits:
            codes, (*ends, name_of_type) = node.output[0], limits[node.output[0]]
            own = np.dtype(name_of_type)
            dtype = own if own.itemsize == 1 else np.dtype(np.int32)
            names = [unused_name(f"{codes}_{end}", used) for end in ("low", "high")]
            graph.initializer.extend(
                numpy_helper.from_array(np.array(end, dtype), name)
                for end, name in zip(ends, names, strict=True)
            )
            renamed[codes] = unused_name(f"{codes}_clipped", used)
            if dtype == own:
                nodes.append(helper.make_node("Clip", [codes, *names], [renamed[codes]]))
                continue
            # ONNX Runtime has no Clip of 16 bits.
            wide, clipped = (unused_name(f"{codes}_{part}", used) for part in ("int32", "limited"))
            nodes.append(helper.make_node("Cast", [codes], [wide], to=TensorProto.INT32))
            nodes.append(helper.make_node("Clip", [wide, *names], [clipped]))
            kind = helper.np_dtype_to_tensor_dtype(own)
            nodes.append(helper.make_node("Cast", [clipped], [renamed[codes]], to=kind))
    replace_nodes(graph, nodes)

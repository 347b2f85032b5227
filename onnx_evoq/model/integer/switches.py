"""A float model in which each activation can be quantized by itself.

A boolean initializer for each activation t says whether nodes read it, or its values on a grid:

    t  ->  Where(switch, DequantizeLinear(QuantizeLinear(t)), t)

So one session scores the model with any of them quantized.
"""

from collections.abc import Mapping

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from onnx_evoq.array_types import Array
from onnx_evoq.model.graph import all_nodes, copy_of, names_in_use, replace_nodes, unused_name
from onnx_evoq.model.integer.code_limits import limit_codes


def with_switches(
    model: ModelProto, activations: Mapping[str, tuple[Array, Array, int, int]]
) -> tuple[ModelProto, dict[str, str]]:
    """A copy of a model with a switch for each of some activations, all of them off.

    Args:
        model: the float model, with an operator set that has these types.
        activations: by name: the scale, the zero point, the lowest and the highest code.

    Returns:
        The copy, and the initializer that is the switch of each activation.
    """
    changed = copy_of(model)
    graph, used = changed.graph, names_in_use(changed.graph)
    inputs = {value.name for value in graph.input}
    new = {name: unused_name(f"{name}_switched", used) for name in activations}
    for node in all_nodes(graph):  # bodies read inputs of the graph around them, too
        for index, name in enumerate(node.input):
            node.input[index] = new[name] if name in inputs and name in new else name
    for node in graph.node:
        for index, name in enumerate(node.output):
            node.output[index] = name if name in inputs else new.get(name, name)
    nodes: list[NodeProto] = []
    switches: dict[str, str] = {}
    limits: dict[str, tuple[int, int, str]] = {}

    def switch(name: str) -> list[NodeProto]:
        scale, zero_point, low, high = activations[name]
        constants = {"scale": scale, "zero_point": zero_point, "switch": np.array(False)}
        names = {part: unused_name(f"{name}_{part}", used) for part in (*constants, "codes", "on")}
        graph.initializer.extend(
            numpy_helper.from_array(np.asarray(array), names[part])
            for part, array in constants.items()
        )
        switches[name] = names["switch"]
        limits[names["codes"]] = low, high, zero_point.dtype.name
        plain, switched = (name, new[name]) if name in inputs else (new[name], name)
        grid = [names["scale"], names["zero_point"]]
        return [
            helper.make_node("QuantizeLinear", [plain, *grid], [names["codes"]]),
            helper.make_node("DequantizeLinear", [names["codes"], *grid], [names["on"]]),
            helper.make_node("Where", [switches[name], names["on"], plain], [switched]),
        ]

    for name in activations:
        if name in inputs:
            nodes += switch(name)
    for node in graph.node:
        nodes.append(node)
        made = {new_name: name for name, new_name in new.items()}
        for output in node.output:
            if output in made:
                nodes += switch(made[output])
    replace_nodes(graph, nodes)
    limit_codes(changed, limits)
    return changed, switches

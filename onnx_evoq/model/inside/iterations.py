"""Join the values that a tensor in the body of a Loop or Scan has in all iterations.

1. In general the tensor becomes a scan output, (iterations, entries, ..., values), whose first two
   axes are made one. A vector has one entry in each iteration.
2. A tensor of an If in a Loop has no entries in some iterations, and scan outputs must be of one
   shape. So the Loop carries all of its values so far in a vector, and the last shape that had any.
"""

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto, helper

from onnx_evoq.model.inside.chain import Chain

_LISTS_OF_SCAN = ("scan_output_axes", "scan_output_directions")
_BEFORE_CARRIED = 2  # inputs of a Loop: the most iterations, and whether to begin


def stack(node: NodeProto, body: GraphProto, tensor: str, output: str, after: Chain) -> None:
    """Give a Loop or Scan a further scan output, in place.

    Args:
        node: the node.
        body: its body.
        tensor: the tensor in the body.
        output: the name of its joined values.
        after: is given the nodes that join them.
    """
    body.output.append(helper.make_empty_tensor_value_info(tensor))
    stacked = f"{output}, stacked"
    node.output.append(stacked)
    for entry in node.attribute:
        if entry.name in _LISTS_OF_SCAN and entry.type == AttributeProto.INTS:
            entry.ints.append(0)  # along axis 0, forward
    shape = after.add("Shape", [stacked])
    entries = after.part(after.part(shape, 0, -1), 0, 2)
    sizes = [after.add("ReduceProd", [entries], keepdims=1), *_behind(after, shape, 2)]
    after.add("Reshape", [stacked, after.add("Concat", sizes, axis=0)], output)


def carry(
    loop: NodeProto, body: GraphProto, tensor: str, kind: int, output: str, before: Chain,
    after: Chain,
) -> None:  # fmt: skip
    """Give a Loop two further tensors to carry, in place.

    Args:
        loop: the node.
        body: its body.
        tensor: the tensor in the body, empty in some iterations.
        kind: its element type.
        output: the name of its joined values.
        before: is given the nodes that make the first values to carry.
        after: is given the nodes that join them.
    """
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    carried = len(loop.input) - _BEFORE_CARRIED
    loop.input.extend([before.constant(np.empty(0, dtype)), before.constant(np.ones(1, np.int64))])
    inside = Chain(before.opset, f"{tensor}, carried")
    seen, last = f"{tensor}, seen", f"{tensor}, last shape"
    body.input.extend([_vector(seen, kind), _vector(last, TensorProto.INT64)])
    flat = inside.add("Reshape", [tensor, inside.integers([-1])])
    now_seen = inside.add("Concat", [seen, flat], axis=0)
    ran = inside.add("Cast", [inside.add("Size", [tensor])], to=TensorProto.BOOL)
    shape = inside.add("Shape", [tensor])
    now_last = inside.add(
        "If", [ran], then_branch=_passing(f"{shape} of it", shape),
        else_branch=_passing(f"{last} as before", last),
    )  # fmt: skip
    body.node.extend(inside.nodes)
    values = list(body.output)
    place = 1 + carried  # behind whether to go on, and what the loop carries
    values[place:place] = [_vector(now_seen, kind), _vector(now_last, TensorProto.INT64)]
    del body.output[:]
    body.output.extend(values)
    ends = [f"{output}, seen", f"{output}, last shape"]
    loop.output[:] = [*loop.output[:carried], *ends, *loop.output[carried:]]
    sizes = [after.integers([-1]), *_behind(after, ends[1], 1)]
    after.add("Reshape", [ends[0], after.add("Concat", sizes, axis=0)], output)


def _behind(chain: Chain, shape: str, first: int) -> list[str]:
    """The sizes of a shape from `first` on, in two vectors; that of the last axis in any case."""
    return [chain.part(shape, first, -1), chain.part(shape, -1, None)]


def _passing(output: str, tensor: str) -> GraphProto:
    """A branch that gives a tensor of a graph around it."""
    nodes = [helper.make_node("Identity", [tensor], [output])]
    return helper.make_graph(nodes, "branch", [], [_vector(output, TensorProto.INT64)])


def _vector(name: str, kind: int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, [None])

"""Compute what the gates of a recurrent operator multiply, beside it.

The gates of LSTM, GRU and RNN go on with ``W x + R h``, where h is the state one step before: the
output Y of that step, or initial_h. In a reversed direction the steps go from the end to the start.
Both are given with the axis of samples first: (samples, steps, inputs), and (samples, steps,
directions, states). With sequence_lens only the steps of each sequence are given, along one axis.
"""

from collections.abc import Mapping

from onnx import NodeProto, TensorProto

from onnx_evoq.model.graph import attribute, is_standard
from onnx_evoq.model.inside.chain import Chain
from onnx_evoq.model.inside.names import gate_inputs, gate_states

GATES = ("LSTM", "GRU", "RNN")
_LENGTHS, _INITIAL = 4, 5  # inputs of the node
_FOR_LENGTHS = 11  # the operator set that has Range and GatherND


def has_gate_columns(node: NodeProto, opset: int) -> bool:
    """Whether what the gates of a node multiply can be computed beside it."""
    known = node.op_type in GATES and is_standard(node) and not attribute(node, "layout", 0)
    return known and (not _input(node, _LENGTHS) or opset >= _FOR_LENGTHS)


def backward_directions(node: NodeProto) -> tuple[bool, ...]:
    """Whether each direction of a recurrent operator goes from the end to the start."""
    name = next((a.s.decode() for a in node.attribute if a.name == "direction"), "forward")
    return {"forward": (False,), "reverse": (True,)}.get(name, (False, True))


def with_gate_columns(node: NodeProto, wanted: Mapping[str, str], opset: int) -> list[NodeProto]:
    """A recurrent operator, and nodes that compute what its gates multiply.

    Args:
        node: the operator.
        wanted: the names of the results, by `gate_inputs` or `gate_states` of the node.
        opset: the operator set.
    """
    chain = Chain(opset, f"{gate_inputs(node)}, part")
    if gate_inputs(node) in wanted:
        _by_sample(chain, node, node.input[0], wanted[gate_inputs(node)])
    changed = NodeProto()
    changed.CopyFrom(node)
    if gate_states(node) in wanted:
        if not changed.output[0]:
            changed.output[0] = f"{gate_states(node)}, behind"
        before = _before(chain, node, changed.output[0])
        joined = _by_sample(chain, node, before)
        # 0 keeps the size of an axis.
        axes = [0] if _input(node, _LENGTHS) else [0, 0]
        shape = chain.integers([*axes, len(backward_directions(node)), -1])
        chain.add("Reshape", [joined, shape], wanted[gate_states(node)])
    return [changed, *chain.nodes]


def _input(node: NodeProto, index: int) -> str:
    return node.input[index] if index < len(node.input) else ""


def _before(chain: Chain, node: NodeProto, behind: str) -> str:
    """The states before each step, (steps, samples, states of all directions).

    Args:
        chain: is given the nodes.
        node: the operator.
        behind: the states behind each step, (steps, directions, samples, states).
    """
    given, found = _input(node, _INITIAL), []
    for index, backward in enumerate(backward_directions(node)):
        states = chain.add("Gather", [behind, chain.integers(index)], axis=1)
        if given:
            first = chain.part(given, index, index + 1)  # (1, samples, states)
        else:
            some = chain.part(states, 0, 1)
            first = chain.add("Sub", [some, some])  # zeros
        found.append(_shifted(chain, node, states, first, backward=backward))
    return found[0] if len(found) == 1 else chain.add("Concat", found, axis=2)


def _shifted(chain: Chain, node: NodeProto, states: str, first: str, *, backward: bool) -> str:
    """The states of one direction before each step, if `first` is that before the first one."""
    lengths = _input(node, _LENGTHS)
    if not backward:
        return chain.add("Concat", [first, chain.part(states, 0, -1)], axis=0)
    if not lengths:
        return chain.add("Concat", [chain.part(states, 1, None), first], axis=0)
    # Sequences end at steps of their own; turned around, all of them begin at the first step.
    counts = chain.add("Cast", [lengths], to=TensorProto.INT64)
    turned = chain.add("ReverseSequence", [states, counts], time_axis=0, batch_axis=1)
    shifted = chain.add("Concat", [first, chain.part(turned, 0, -1)], axis=0)
    return chain.add("ReverseSequence", [shifted, counts], time_axis=0, batch_axis=1)


def _by_sample(chain: Chain, node: NodeProto, values: str, output: str = "") -> str:
    """(steps, samples, n) -> (samples, steps, n), or (steps of all samples, n) with lengths."""
    lengths = _input(node, _LENGTHS)
    if not lengths:
        return chain.add("Transpose", [values], output, perm=[1, 0, 2])
    by_sample = chain.add("Transpose", [values], perm=[1, 0, 2])
    zero, one = chain.integers(0), chain.integers(1)
    count = chain.add("Gather", [chain.add("Shape", [values]), zero], axis=0)
    steps = chain.add("Range", [zero, count, one])
    counts = chain.add("Cast", [lengths], to=TensorProto.INT64)
    column = chain.add("Reshape", [counts, chain.integers([-1, 1])])
    real = chain.add("Less", [steps, column])  # (samples, steps)
    places = chain.add("Transpose", [chain.add("NonZero", [real])], perm=[1, 0])
    return chain.add("GatherND", [by_sample, places], output)

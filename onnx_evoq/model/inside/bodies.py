"""Show tensors that a part of a model hides inside its nodes, as tensors of the main graph.

1. A branch of an If gets a further output. The other branch gives an empty tensor, so that there
   are no values where the branch does not run.
2. The body of a Loop or Scan gets a further scan output. The values of all iterations are joined
   along the first axis, one iteration after the other.
3. A body in a body is treated likewise, from the inside to the outside.
4. What the gates of a recurrent operator multiply is computed beside it (`gate_columns`).

A part that is changed like this is run, and never emitted.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, helper, numpy_helper

from onnx_evoq.model.graph import Runnable, as_network, bodies, is_standard, opset_of
from onnx_evoq.model.inside.chain import Chain
from onnx_evoq.model.inside.gate_columns import with_gate_columns
from onnx_evoq.model.inside.kinds import Kinds
from onnx_evoq.model.inside.names import gate_inputs, gate_states, input_inside, output_inside

_PLAIN_SCAN = 9  # from this operator set on, Scan has no batch axis
_LISTS_OF_SCAN = ("scan_output_axes", "scan_output_directions")


def shows_bodies(node: NodeProto, opset: int) -> bool:
    """Whether tensors inside the bodies of a node can be shown."""
    if node.op_type == "Scan" and opset < _PLAIN_SCAN:
        return False
    return node.op_type in ("If", "Loop", "Scan") and is_standard(node)


def with_shown(model: Runnable, wanted: Collection[str]) -> list[NodeProto]:
    """The nodes of a model, such that wanted tensors which they hide are tensors of that name.

    Args:
        model: the model.
        wanted: names of hidden tensors (`input_inside` and the like), and any others.
    """
    there = {name for node in model.graph.node for name in node.output}
    hidden = frozenset(wanted) - there
    if not hidden:
        return list(model.graph.node)
    return _Shower(model, hidden).shown(model.graph.node, 0)[0]


@dataclass(frozen=True)
class _Shown:
    """A hidden tensor that a graph has now.

    Attributes:
        name: its name in that graph, which is another one in the graph around.
        source: a tensor of the same type.
    """

    name: str
    source: str


class _Shower:
    """Shows wanted tensors of one model."""

    def __init__(self, model: Runnable, wanted: frozenset[str]) -> None:
        self._graph, self._wanted = model.graph, wanted
        self._opset = opset_of(as_network(model).model)

    @cached_property
    def _kinds(self) -> Kinds:
        return Kinds(self._graph)

    def shown(
        self, nodes: Iterable[NodeProto], depth: int
    ) -> tuple[list[NodeProto], dict[str, _Shown]]:
        """The nodes of a graph with what they hide, and that by its wanted name.

        Args:
            nodes: the nodes.
            depth: how many graphs are around that graph.
        """
        changed, found = list[NodeProto](), dict[str, _Shown]()
        for node in nodes:
            own, copies = list[NodeProto](), list[NodeProto]()
            for name, source in self._beside(node) if depth else ():
                found[name] = _Shown(_at(depth, name), source)
                copies.append(helper.make_node("Identity", [source], [_at(depth, name)]))
            names = [n for n in (gate_inputs(node), gate_states(node)) if n in self._wanted]
            if names:
                local = {name: _at(depth, name) for name in names}
                own = with_gate_columns(node, local, self._opset)
                found |= {name: _Shown(at, node.input[1]) for name, at in local.items()}
            else:
                own, inside = self._through(node, depth)
                found |= inside
            changed += [*own, *copies]
        return changed, found

    def _beside(self, node: NodeProto) -> Iterable[tuple[str, str]]:
        """The wanted inputs and output of a node in a body: the wanted name, and the tensor."""
        for index, source in enumerate(node.input):
            if input_inside(node, index) in self._wanted:
                yield input_inside(node, index), source
        if output_inside(node) in self._wanted:
            yield output_inside(node), next(name for name in node.output if name)

    def _through(self, node: NodeProto, depth: int) -> tuple[list[NodeProto], dict[str, _Shown]]:
        """A node whose bodies show what they hide, with the nodes that join it; as `shown`."""
        if not shows_bodies(node, self._opset):
            return [node], {}
        inner = [self.shown(body.node, depth + 1) for body in bodies(node)]
        found = {name: shown for _, of_body in inner for name, shown in of_body.items()}
        if not found:
            return [node], {}
        changed = NodeProto()
        changed.CopyFrom(node)
        for body, (nodes, own) in zip(bodies(changed), inner, strict=True):
            self._extend(body, nodes, own, found)
        given = len(next(bodies(node)).output) - (node.op_type == "Loop")
        changed.output.extend([""] * (given - len(changed.output)))
        joined = Chain(self._opset, f"{_at(depth, next(iter(found)))}, joined")
        for name in found:
            if node.op_type == "If":
                changed.output.append(_at(depth, name))
            else:
                changed.output.append(f"{_at(depth, name)}, stacked")
                _join(joined, changed.output[-1], _at(depth, name))
        if node.op_type == "Scan":
            _extend_lists(changed, len(found))
        return [changed, *joined.nodes], {
            name: _Shown(_at(depth, name), shown.source) for name, shown in found.items()
        }

    def _extend(
        self,
        body: GraphProto,
        nodes: Iterable[NodeProto],
        own: Collection[str],
        found: dict[str, _Shown],
    ) -> None:
        """Give a body other nodes and further outputs, empty ones for what it does not hide."""
        del body.node[:]
        body.node.extend(nodes)
        for name, shown in found.items():
            output = shown.name
            if name not in own:
                kind = self._kinds.of(shown.source)
                empty = np.empty(0, helper.tensor_dtype_to_np_dtype(kind))
                output = f"{shown.name}, empty"
                value = numpy_helper.from_array(empty)
                body.node.append(helper.make_node("Constant", [], [output], value=value))
            body.output.append(helper.make_empty_tensor_value_info(output))


def _at(depth: int, name: str) -> str:
    """The name that a hidden tensor has in a graph with so many graphs around it."""
    return name if depth == 0 else f"{name} at depth {depth}"


def _join(chain: Chain, stacked: str, output: str) -> None:
    """(iterations, entries, ...) -> (iterations * entries, ...)"""
    shape = chain.add("Shape", [stacked])
    first = chain.add("ReduceProd", [chain.part(shape, 0, 2)], keepdims=1)
    rest = chain.part(shape, 2, None)
    chain.add("Reshape", [stacked, chain.add("Concat", [first, rest], axis=0)], output)


def _extend_lists(scan: NodeProto, count: int) -> None:
    """Say of further scan outputs of a Scan that they are stacked along axis 0, forward."""
    for attribute in scan.attribute:
        if attribute.name in _LISTS_OF_SCAN and attribute.type == AttributeProto.INTS:
            attribute.ints.extend([0] * count)

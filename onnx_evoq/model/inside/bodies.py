"""Show tensors that a part of a model hides inside its nodes, as tensors of the main graph.

1. A branch of an If gets a further output. The other branch gives an empty tensor, so that there
   are no values where the branch does not run.
2. The body of a Loop or Scan gives the values of all iterations, joined along the first axis
   (`iterations`).
3. A body in a body is treated likewise, from the inside to the outside.
4. What the gates of a recurrent operator multiply is computed beside it (`gate_columns`).

A part that is changed like this is run, and never emitted.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from onnx import NodeProto, helper, numpy_helper

from onnx_evoq.model.graph import (
    Runnable,
    as_network,
    bodies,
    is_standard,
    opset_of,
    replace_nodes,
)
from onnx_evoq.model.inside.chain import Chain
from onnx_evoq.model.inside.gate_columns import with_gate_columns
from onnx_evoq.model.inside.iterations import carry, stack
from onnx_evoq.model.inside.kinds import Kinds
from onnx_evoq.model.inside.names import gate_inputs, gate_states, input_inside, output_inside

_PLAIN_SCAN = 9  # from this operator set on, Scan has no batch axis


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
        sometimes: whether it is empty where a branch does not run.
    """

    name: str
    source: str
    sometimes: bool = False


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
        """A node whose bodies show what they hide, with the nodes around it; as `shown`."""
        if not shows_bodies(node, self._opset):
            return [node], {}
        inner = [self.shown(body.node, depth + 1) for body in bodies(node)]
        found = {name: shown for _, of_body in inner for name, shown in of_body.items()}
        if not found:
            return [node], {}
        changed = NodeProto()
        changed.CopyFrom(node)
        for body, (nodes, _) in zip(bodies(changed), inner, strict=True):
            replace_nodes(body, nodes)
        given = len(next(bodies(node)).output) - (node.op_type == "Loop")
        changed.output.extend([""] * (given - len(changed.output)))
        label = f"{_at(depth, next(iter(found)))}, joined"
        before, after = Chain(self._opset, f"{label} from"), Chain(self._opset, label)
        for name, shown in found.items():
            output = _at(depth, name)
            if node.op_type == "If":
                self._add_to_branches(changed, [name in own for _, own in inner], shown)
                changed.output.append(output)
                continue
            (body,) = bodies(changed)
            if shown.sometimes and node.op_type == "Loop":
                kind = self._kinds.of(shown.source)
                carry(changed, body, shown.name, kind, output, before, after)
            else:
                stack(changed, body, shown.name, output, after)
        sometimes = node.op_type == "If"
        return [*before.nodes, changed, *after.nodes], {
            name: _Shown(_at(depth, name), shown.source, shown.sometimes or sometimes)
            for name, shown in found.items()
        }

    def _add_to_branches(self, node: NodeProto, hides: Sequence[bool], shown: _Shown) -> None:
        """Give each branch an output, an empty one where it does not hide the tensor."""
        for branch, own in zip(bodies(node), hides, strict=True):
            output = shown.name if own else f"{shown.name}, empty"
            if not own:
                kind = self._kinds.of(shown.source)
                empty = np.empty(0, helper.tensor_dtype_to_np_dtype(kind))
                value = numpy_helper.from_array(empty)
                branch.node.append(helper.make_node("Constant", [], [output], value=value))
            branch.output.append(helper.make_empty_tensor_value_info(output))


def _at(depth: int, name: str) -> str:
    """The name that a hidden tensor has in a graph with so many graphs around it."""
    return name if depth == 0 else f"{name} at depth {depth}"

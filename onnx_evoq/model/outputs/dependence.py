"""What each tensor of a graph depends on: its values on weights, its shape on values.

The graph is walked once, in its order; the bodies of If, Loop and Scan are walked with what the
tensors around them depend on. A tensor that no weight has an effect on is the same in the float
model and in a quantized one. Of the others,

1. *rows vary*: the shape depends on values that weights have an effect on (NonZero, a dynamic
   Slice, a Loop that runs as long as values say). The quantized model has other rows.
2. *values jump*: they were selected, ordered or rounded by values (ArgMax, TopK, Round, a Gather
   with such indices), so that a tiny error of the weights may have a large effect, or none.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from onnx import GraphProto, ModelProto, NodeProto

from onnx_evoq.model.graph import attribute, bodies, is_standard, reads
from onnx_evoq.model.outputs.operators import (
    STEPS,
    casts_to_steps,
    index_inputs,
    is_known,
    passes_shape,
    shape_inputs,
)

_MOST_PASSES = 8  # over the body of a Loop, in which what it carries takes on all that it can


@dataclass(frozen=True)
class Dependence:
    """What a tensor depends on.

    Attributes:
        weights: a bit for each weight that has an effect on its values.
        varies: whether an input of the model has an effect on it.
        rows_vary: whether its shape depends on values that weights have an effect on.
        jumps: whether its values were selected, ordered or rounded by such values.
        custom: whether it comes from a custom operator, which may do all of this.
    """

    weights: int = 0
    varies: bool = False
    rows_vary: bool = False
    jumps: bool = False
    custom: bool = False

    @property
    def weighted(self) -> bool:
        """Whether its values differ between the float model and a quantized one."""
        return self.varies and self.weights != 0

    def __or__(self, other: "Dependence") -> "Dependence":
        return Dependence(
            self.weights | other.weights,
            self.varies or other.varies,
            self.rows_vary or other.rows_vary,
            self.jumps or other.jumps,
            self.custom or other.custom,
        )


NOTHING = Dependence()
Known = Mapping[str, Dependence]


def dependences(
    model: ModelProto,
    weights: Sequence[str],
    fixed: Collection[str] = (),
    varying: Collection[str] = (),
) -> dict[str, Dependence]:
    """What each tensor of the main graph depends on, by name.

    Args:
        model: a model as `load` returns it.
        weights: names of initializers; the first has bit 0.
        fixed: tensors whose shape is known not to depend on values.
        varying: tensors whose rows are known to vary.
    """
    graph = model.graph
    known = {name: Dependence(weights=1 << bit) for bit, name in enumerate(weights)}
    known |= {value.name: Dependence(varies=True) for value in graph.input}
    _Walk(frozenset(fixed), frozenset(varying)).through(graph, known)
    return known


class _Walk:
    """Walks graphs with what is known of the shapes of some tensors."""

    def __init__(self, fixed: frozenset[str], varying: frozenset[str]) -> None:
        self._fixed, self._varying = fixed, varying

    def through(self, graph: GraphProto, known: dict[str, Dependence]) -> None:
        """Add what the nodes of a graph make to `known`."""
        for node in graph.node:
            made = self._made(node, known)
            for name, dependence in zip(node.output, made, strict=False):
                if name in self._fixed:
                    dependence = replace(dependence, rows_vary=False)
                if name in self._varying:
                    dependence = replace(dependence, rows_vary=True)
                known[name] = dependence

    def _made(self, node: NodeProto, known: Known) -> list[Dependence]:
        inputs = [known.get(name, NOTHING) for name in node.input]
        if is_standard(node):
            if node.op_type == "If":
                return self._of_if(node, inputs[0], known)
            if node.op_type == "Loop":
                return self._of_loop(node, inputs, known)
            if node.op_type == "Scan":
                return self._of_scan(node, inputs, known)
        captured = _union(known.get(name, NOTHING) for name in reads(node) - set(node.input))
        return [_of_operator(node, inputs) | captured] * len(node.output)

    def _inside(
        self, body: GraphProto, given: Sequence[Dependence], known: Known
    ) -> list[Dependence]:
        """The dependences of the outputs of a body, from those of its inputs."""
        inner = dict(known)
        for value, dependence in zip(body.input, given, strict=False):
            inner[value.name] = dependence
        for tensor in body.initializer:
            inner[tensor.name] = NOTHING
        self.through(body, inner)
        return [inner.get(value.name, NOTHING) for value in body.output]

    def _of_if(self, node: NodeProto, condition: Dependence, known: Known) -> list[Dependence]:
        branches = [self._inside(body, (), known) for body in bodies(node)]
        chosen = Dependence(condition.weights, condition.varies, custom=condition.custom)
        if condition.weighted:  # one branch may give other shapes than the other
            chosen = replace(chosen, rows_vary=True, jumps=True)
        return [_union([chosen, *each]) for each in zip(*branches, strict=False)]

    def _of_loop(
        self, node: NodeProto, inputs: Sequence[Dependence], known: Known
    ) -> list[Dependence]:
        (body,) = bodies(node)
        count, condition, *carried = inputs
        made: list[Dependence] = []
        for _ in range(_MOST_PASSES):
            step = Dependence(varies=count.varies or condition.varies)
            made = self._inside(body, [step, condition, *carried], known)
            condition |= made[0]
            after = [a | b for a, b in zip(carried, made[1:], strict=False)]
            if after == carried:
                break
            carried = after
        trips = count | condition
        ended = Dependence(trips.weights, trips.varies, custom=trips.custom)
        if trips.weighted:
            ended = replace(ended, rows_vary=True, jumps=True)
        return [each | ended for each in (*carried, *made[1 + len(carried) :])]

    def _of_scan(
        self, node: NodeProto, inputs: Sequence[Dependence], known: Known
    ) -> list[Dependence]:
        (body,) = bodies(node)
        states = max(0, len(inputs) - int(attribute(node, "num_scan_inputs", 0)))
        given, made = list(inputs), list[Dependence]()
        for _ in range(_MOST_PASSES):
            made = self._inside(body, given, known)
            after = [a | b for a, b in zip(given[:states], made[:states], strict=False)]
            if after == given[:states]:
                break
            given[:states] = after
        return made


def _of_operator(node: NodeProto, inputs: Sequence[Dependence]) -> Dependence:
    """The dependence of what an operator without bodies makes."""
    every = _union(inputs)
    if node.op_type in ("Shape", "Size"):
        weights = every.weights if every.rows_vary else 0
        return replace(every, weights=weights, rows_vary=False, jumps=every.rows_vary)
    shaping, taking = shape_inputs(node), index_inputs(node)
    rows_vary = any(
        (each.rows_vary and passes_shape(node, position)) or (each.weighted and position in shaping)
        for position, each in enumerate(inputs)
    )
    jumps = any(
        (each.jumps and not (node.op_type == "Where" and position == 0))
        or (each.weighted and position in taking)
        for position, each in enumerate(inputs)
    )
    jumps |= every.weighted and (node.op_type in STEPS or casts_to_steps(node))
    if node.op_type == "RoiAlign" and inputs[1].jumps:
        rows_vary = True  # as many rows as before, but of other regions
    return Dependence(
        every.weights, every.varies, rows_vary, jumps, every.custom or not is_known(node)
    )


def _union(many: Iterable[Dependence]) -> Dependence:
    found = NOTHING
    for each in many:
        found |= each
    return found

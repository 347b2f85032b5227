"""What a model does with the values of an input.

The values are followed through the nodes that only move them (Reshape, Slice, Cast and others) and
through sums and products with constants, into the bodies of If, Loop and Scan, to the nodes that
say what they are:

1. indices of the rows of a tensor (Gather, ScatterND and others), or of a one-hot code,
2. a mask: added to the scores of a Softmax, a factor, or what decides in a Where between a tensor
   and a constant,
3. compared with constants, or what decides in an If,
4. the lengths of sequences, or the size of a tensor,
5. the angle of a sine or a cosine: positions, or the time steps of a diffusion.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from onnx import ModelProto, NodeProto, ValueInfoProto

from onnx_evoq.array_types import Float64Array
from onnx_evoq.model.graph import FLOAT_TYPES, all_nodes, attribute, bodies, is_standard
from onnx_evoq.model.inputs.constants import Constants
from onnx_evoq.model.inputs.softmax_scores import scores_of
from onnx_evoq.model.inputs.what_uses_say import InputUses, RowIndex

_BLOCKED = -100.0  # what is added to a score that shall not count is at most this

# Nodes whose output holds the values of their first input.
MOVES = {
    "Cast", "CastLike", "Dropout", "Expand", "Flatten", "Gather", "GatherElements", "Identity",
    "Pad", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
}  # fmt: skip
_INDEXED = {"Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND"}
_COMPARED: dict[str, Callable[..., Float64Array]] = {
    "Equal": np.equal, "Greater": np.greater, "GreaterOrEqual": np.greater_equal,
    "Less": np.less, "LessOrEqual": np.less_equal,
}  # fmt: skip
_ARITHMETIC: dict[str, Callable[..., Float64Array]] = {
    "Add": np.add, "Div": np.divide, "Mul": np.multiply, "Sub": np.subtract,
}  # fmt: skip
_LENGTHS = {"GRU": 4, "LSTM": 4, "RNN": 4, "ReverseSequence": 1}  # position of the lengths
# From this position on, the inputs are the size of a tensor, or places in it.
_SIZES = {
    "ConstantOfShape": 0, "Expand": 1, "Range": 0, "Reshape": 1, "Resize": 2, "Slice": 1,
    "Split": 1, "Tile": 1, "TopK": 1, "Trilu": 1,
}  # fmt: skip
# Of com.microsoft: by input, the position of the table whose rows it names.
_TABLES = {"EmbedLayerNormalization": {0: 2, 1: 4}, "RotaryEmbedding": {1: 2}}
_MASKS = {"Attention": 3, "EmbedLayerNormalization": 7, "MultiHeadAttention": 4}


def input_uses(model: ModelProto) -> dict[str, InputUses]:
    """What a model does with each of its inputs, by name.

    Args:
        model: a model as `load` returns it.
    """
    nodes = list(all_nodes(model.graph))
    constants, scores = Constants(model.graph), scores_of(nodes)
    return {value.name: _Uses(value, constants, scores).of(nodes) for value in model.graph.input}


@dataclass(frozen=True)
class _Held:
    """What a tensor holds of an input: ``scale * value + offset``, or another function of it.

    Attributes:
        at: the numbers that it holds where the value is 0 and 1; None if they are not known.
        scale: the largest factor; None if it is another function.
        offset: the largest number that is added.
    """

    at: tuple[float, float] | None = (0.0, 1.0)
    scale: float | None = 1.0
    offset: float = 0.0


class _Uses:
    """Follows one input.

    Args:
        value: the input.
        constants: of the graph and the graphs inside it.
        scores: the tensors that are scores of a Softmax, or are added up to them.
    """

    def __init__(self, value: ValueInfoProto, constants: Constants, scores: set[str]) -> None:
        self._held = {value.name: _Held()}
        self._is_float = value.type.tensor_type.elem_type in FLOAT_TYPES
        self._constants, self._scores = constants, scores
        self._found = InputUses()

    def of(self, nodes: list[NodeProto]) -> InputUses:
        """What the nodes do with the input; each graph comes before those inside it."""
        for node in nodes:
            for position, name in enumerate(node.input):
                if name in self._held:
                    self._read(node, position, self._held[name])
        return self._found

    def _note(self, **found: object) -> None:
        self._found = replace(self._found, **found)  # type: ignore[arg-type]

    def _read(self, node: NodeProto, position: int, held: _Held) -> None:
        """What a node does with one of its inputs."""
        op = node.op_type
        if not is_standard(node):
            self._read_contrib(node, position)
        elif op in _INDEXED and position == 1:
            axis = None if op.endswith("ND") else int(attribute(node, "axis", 0))
            self._index(node.input[0], axis, node.input[1], held)
        elif (op in MOVES and position == 0) or op in ("Clip", "Concat", "Max", "Min"):
            self._hold(node, held)
        elif op in _COMPARED:
            self._compare(node, position, held)
        elif op in _ARITHMETIC:
            self._compute(node, position, held)
        elif op in ("And", "Or", "Not"):
            self._hold(node, replace(held, at=_inverse(held) if op == "Not" else held.at))
        elif op == "Where":
            self._choose(node, position, held)
        elif op == "OneHot" and position == 0:
            depth = self._constants.number(node.input[1])
            self._note(classes=None if depth is None else int(depth))
        elif op in ("Sin", "Cos"):
            self._note(angle=True)
        elif op in ("MatMul", "Gemm", "Einsum") and self._constants.among(node):
            self._hold(node, _Held(None, None))  # positions times frequencies, say
            self._note(otherwise=True)
        elif op == "If" or (op == "Loop" and position == 1):
            self._note(decides=True)
        elif op in ("Loop", "Scan"):
            self._enter(node, position, held)
        elif _LENGTHS.get(op) == position:
            self._note(lengths=True)
        elif position >= _SIZES.get(op, len(node.input)):
            self._note(size=True)
        else:
            self._note(otherwise=True)

    def _read_contrib(self, node: NodeProto, position: int) -> None:
        """The same of an operator that ONNX Runtime adds to those of ONNX."""
        tables = _TABLES.get(node.op_type, {})
        if position in tables and len(node.input) > tables[position]:
            self._index(node.input[tables[position]], 0, node.input[position], _Held())
        elif _MASKS.get(node.op_type) == position:
            self._note(passing=1.0)
        else:
            self._note(otherwise=True)

    def _hold(self, node: NodeProto, held: _Held) -> None:
        self._held.update((name, held) for name in node.output if name)

    def _index(self, tensor: str, axis: int | None, places: str, held: _Held) -> None:
        if held.scale is not None and held.scale > 0:
            constant = tensor in self._constants
            index = RowIndex(tensor, axis, constant, places, held.scale, held.offset)
            self._note(rows=(*self._found.rows, index))

    def _other(self, node: NodeProto, position: int) -> Float64Array | None:
        """The other operand of a node of two, if it is constant."""
        return self._constants.values(node.input[1 - position])

    def _compare(self, node: NodeProto, position: int, held: _Held) -> None:
        others = self._other(node, position)
        if others is None or not others.size:
            self._note(lengths=self._found.lengths or node.op_type != "Equal", otherwise=True)
            return
        if held.scale:
            values = (np.unique(others) - held.offset) / held.scale
            if node.op_type != "Equal" and len(values) > 1:  # the places of a sequence
                self._note(lengths=True)
            else:
                self._note(compared=(*self._found.compared, *values.tolist()))
        function = _COMPARED[node.op_type]
        self._hold(node, _Held(_applied(function, held.at, others, position), None))

    def _compute(self, node: NodeProto, position: int, held: _Held) -> None:
        others = self._other(node, position)
        op = node.op_type
        if others is not None and others.size:
            at = _applied(_ARITHMETIC[op], held.at, others, position)
            self._hold(node, replace(_linear(op, position, held, others), at=at))
            return
        if held.at is not None:
            low, high = held.at
            if op == "Mul" and not self._is_float and (low == 0) != (high == 0):
                self._note(passing=0.0 if high == 0 else 1.0)
                return
            if op == "Add" and min(low, high) <= _BLOCKED < max(low, high):
                self._note(passing=0.0 if high <= _BLOCKED else 1.0)
                return
            if op == "Add" and self._scores.issuperset(node.output):
                self._note(passing=0.0 if self._is_float and held == _Held() else 1.0)
                return
        self._note(otherwise=True)

    def _choose(self, node: NodeProto, position: int, held: _Held) -> None:
        branches = [self._constants.number(name) for name in node.input[1:3]]
        if position or held.at is None:
            self._hold(node, replace(held, at=None))
        elif None not in branches:
            chosen = tuple(branches[0 if value else 1] for value in held.at)
            self._hold(node, _Held(chosen, None))  # type: ignore[arg-type]
        elif branches != [None, None] and bool(held.at[0]) != bool(held.at[1]):
            # The mask lets pass where the tensor is chosen, not the constant.
            on_true = branches[0] is None
            self._note(passing=1.0 if bool(held.at[1]) == on_true else 0.0)
        else:
            self._note(otherwise=True)

    def _enter(self, node: NodeProto, position: int, held: _Held) -> None:
        """Follow the input into the body of a Loop or a Scan."""
        if node.op_type == "Loop" and position == 0:
            self._note(size=True)
        for body in bodies(node):
            self._held[body.input[position].name] = held


def _inverse(held: _Held) -> tuple[float, float] | None:
    return None if held.at is None else (float(not held.at[0]), float(not held.at[1]))


def _applied(
    function: Callable[..., Float64Array],
    at: tuple[float, float] | None,
    others: Float64Array,
    position: int,
) -> tuple[float, float] | None:
    """What a node gives where the input is 0 and 1; of several constants, the largest counts."""
    if at is None:
        return None
    other = others.flat[np.abs(others).argmax()]
    with np.errstate(all="ignore"):
        pairs = [(value, other) if position == 0 else (other, value) for value in at]
        low, high = (float(function(*pair)) for pair in pairs)
    return low, high


def _linear(op: str, position: int, held: _Held, others: Float64Array) -> _Held:
    """``scale * value + offset`` behind a sum or a product with constants."""
    if held.scale is None:
        return held
    if op == "Add":
        return replace(held, offset=held.offset + float(others.max()))
    if op == "Sub" and position == 0:
        return replace(held, offset=held.offset - float(others.min()))
    factor = float(others.max()) if op == "Mul" else 0.0
    if op == "Div" and position == 0 and others.min() != 0:
        factor = 1 / float(others.min())
    if factor <= 0:
        return replace(held, scale=None)
    return replace(held, scale=held.scale * factor, offset=held.offset * factor)

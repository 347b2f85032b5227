"""Find the weights of a graph, and say why any other initializer is not a weight.

An initializer is a weight if a node reads it, directly or through nodes that only pass it on
(Identity, Cast, Transpose, Reshape, Squeeze, Unsqueeze, Flatten), as its input with the index

    Conv 1, ConvTranspose 1, Gemm 0 or 1, MatMul 0 or 1, LSTM/GRU/RNN 1 and 2, Gather 0 (a table),
    Einsum any that it sums products over,

and those of ONNX Runtime's own operators that `_OWN_WEIGHT_INPUTS` lists.

The channel axis is the axis of the layer's outputs: Conv 0; ConvTranspose 1; of a matrix product
the axis that the output keeps and the other factor lacks (`equations`); recurrent operators 1; a
table has none. If nodes disagree, that of most nodes counts, and of as many that of the last one.
If a Reshape hides the axis, the weight has none and gets one step per tensor.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from onnx_evoq.array_blocks import converted, extremes, has_infinity
from onnx_evoq.array_types import Float32Array
from onnx_evoq.errors import ModelError
from onnx_evoq.model.graph import (
    FLOAT_TYPES,
    all_nodes,
    attribute,
    bodies,
    constant_tensors,
    is_quantized,
    is_standard,
    node_label,
)
from onnx_evoq.model.tensors import array_of
from onnx_evoq.model.weights.equations import channel_axis, contracts, equation_of
from onnx_evoq.model.weights.views import axis_before, path_to_initializer, views_of

_WEIGHT_INPUTS = {
    "Conv": {1},
    "ConvTranspose": {1},
    "DeformConv": {1},
    "Gemm": {0, 1},
    "MatMul": {0, 1},
    "LSTM": {1, 2},
    "GRU": {1, 2},
    "RNN": {1, 2},
    "Gather": {0},
}
_OWN_DOMAIN = "com.microsoft"
_BLOCKED_DOMAIN = "com.microsoft.nchwc"  # of what ONNX Runtime saves with all optimizations
_OWN_WEIGHT_INPUTS = {  # of operators that ONNX Runtime adds, or makes of several
    "AttnLSTM": {1, 2, 8, 9, 13},
    "Attention": {1},
    "CausalConvWithState": {1},
    "ConvTransposeWithDynamicPads": {1},
    "EmbedLayerNormalization": {2, 3, 4},
    "FusedConv": {1},
    "FusedGemm": {0, 1},
    "FusedMatMul": {0, 1},
    "MoE": {2, 4, 6},
    "TransposeMatMul": {0, 1},
    "WordConvEmbedding": {1, 3},
}
_CHANNEL_AXES = {
    "Conv": 0, "DeformConv": 0, "FusedConv": 0, "CausalConvWithState": 0, "WordConvEmbedding": 0,
    "ConvTranspose": 1, "ConvTransposeWithDynamicPads": 1, "LSTM": 1, "GRU": 1, "RNN": 1,
    "AttnLSTM": 1, "MoE": 1,
}  # fmt: skip
_TABLES = {("Gather", 0), ("WordConvEmbedding", 3)}
_TABLES |= {("EmbedLayerNormalization", position) for position in (2, 3, 4)}
_WITH_BIAS = {
    "Conv", "ConvTranspose", "DeformConv", "Gemm", "LSTM", "GRU", "RNN", "Attention", "FusedConv",
    "FusedGemm", "MoE",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Weight:
    """A float initializer that is quantized.

    Attributes:
        name: the initializer's name.
        op_type: the operator of the first node that reads it as a weight.
        nodes: the labels of the nodes that read it as a weight.
        axis: its output-channel axis, None if it has none.
        values: its values as float32.
        dtype: the type that the model stores it in, float32 or float16.
    """

    name: str
    op_type: str
    nodes: tuple[str, ...]
    axis: int | None
    values: Float32Array
    dtype: str

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its values."""
        return self.values.shape


@dataclass(frozen=True)
class Skipped:
    """An initializer that is not a weight, and the reason."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class _Use:
    """One node that reads an initializer as a weight."""

    node: NodeProto
    axis: int | None  # of the initializer
    needs_axis: bool  # False for a table, which agrees with any axis


def find_weights(model: ModelProto) -> tuple[list[Weight], list[Skipped]]:
    """The weights in graph order, and the other initializers with the reason for each.

    Args:
        model: a model as `load` returns it.
    """
    tensors, uses = _uses(model)
    weights = [_weight(tensors[name], of_name) for name, of_name in uses.items()]
    readers: dict[str, list[NodeProto]] = defaultdict(list)
    for node in all_nodes(model.graph):
        for name in node.input:
            readers[name].append(node)
    skipped = [
        Skipped(name, _dtype_name(tensor), tuple(tensor.dims), _reason(tensor, readers[name]))
        for name, tensor in tensors.items()
        if name not in uses
    ]
    return weights, skipped


def weight_operators(model: ModelProto) -> dict[str, str]:
    """The names of the weights in graph order, each with its `Weight.op_type`.

    Values are not kept, and none are read but those of tables.
    """
    return {name: of_name[0].node.op_type for name, of_name in _uses(model)[1].items()}


def _uses(model: ModelProto) -> tuple[dict[str, TensorProto], dict[str, list[_Use]]]:
    """The initializers, and the nodes that read each weight as such, both by name."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    uses: dict[str, list[_Use]] = {}
    _collect_uses(model.graph, {}, tensors, {}, uses)
    return tensors, uses


def weights_named(model: ModelProto, names: Collection[str]) -> list[Weight]:
    """The weights of these names, in graph order."""
    return [weight for weight in find_weights(model)[0] if weight.name in names]


def check_finite(weights: Sequence[Weight]) -> None:
    """Check that weights can be quantized.

    Raises:
        ModelError: a weight holds NaN or infinity.
    """
    for weight in weights:
        if not np.isfinite(extremes(weight.values)).all():
            raise ModelError(
                f"weight {weight.name!r} holds NaN or infinity: train or export the model again, "
                "or keep it as it is (--keep)."
            )


def _collect_uses(
    graph: GraphProto,
    outer: dict[str, NodeProto],
    tensors: dict[str, TensorProto],
    outer_constants: dict[str, TensorProto],
    uses: dict[str, list[_Use]],
) -> None:
    """Add the uses in `graph` and in the graphs inside it; `outer` are the producers around it."""
    constants = {**outer_constants, **constant_tensors(graph)}
    # The two branches of an If may use the same name for different tensors.
    producers = {**outer, **{name: node for node in graph.node for name in node.output if name}}
    for node in graph.node:
        for position in weight_inputs(node):
            path = path_to_initializer(node.input[position], producers, tensors)
            if path is not None and _reads_as_weight(node, tensors[path[0]]):
                name, views = path
                use = _Use(node, *_own_axis(node, position, tensors[name], views, constants))
                uses.setdefault(name, []).append(use)
        for body in bodies(node):
            _collect_uses(body, producers, tensors, constants, uses)


def weight_inputs(node: NodeProto) -> list[int]:
    """Which inputs of a node may be weights."""
    if is_standard(node) and node.op_type == "Einsum":
        return [position for position in range(len(node.input)) if contracts(node, position)]
    found: set[int] = set()
    if is_standard(node):
        found = _WEIGHT_INPUTS.get(node.op_type, found)
    elif node.domain == _OWN_DOMAIN:
        found = _OWN_WEIGHT_INPUTS.get(node.op_type, found)
    return [position for position in sorted(found) if position < len(node.input)]


def _reads_as_weight(node: NodeProto, tensor: TensorProto) -> bool:
    if tensor.data_type not in FLOAT_TYPES or not np.prod(tensor.dims, dtype=np.int64):
        return False
    if node.op_type == "Gather":
        # A table with infinity is a mask, not a table of weights.
        return _is_table(node, tensor) and not has_infinity(array_of(tensor))
    return bool(tensor.dims)


def has_weights(node: NodeProto) -> bool:
    """Whether the operator of `node` may multiply its input by weights; a table is looked up."""
    return any((node.op_type, position) not in _TABLES for position in weight_inputs(node))


def _is_table(node: NodeProto, tensor: TensorProto) -> bool:
    """Whether a Gather picks rows of a matrix."""
    return len(tensor.dims) == 2 and attribute(node, "axis", 0) == 0


def _own_axis(
    node: NodeProto,
    position: int,
    tensor: TensorProto,
    nodes: Sequence[NodeProto],
    constants: Mapping[str, TensorProto],
) -> tuple[int | None, bool]:
    """The channel axis among the initializer's axes, and whether the node needs one at all."""
    if (node.op_type, position) in _TABLES:
        return None, False
    views = views_of(nodes, tensor.dims, constants)
    if views is None:
        return None, True
    dims = views[-1].shape if views else tuple(tensor.dims)
    axis = _channel_axis(node, position, dims)
    return (None if axis is None else axis_before(views, tensor.dims, axis)), True


def _channel_axis(node: NodeProto, position: int, dims: Sequence[int]) -> int | None:
    equation = equation_of(node, position, dims)
    if equation is not None:
        return channel_axis(equation, dims)
    if node.op_type not in _CHANNEL_AXES or len(dims) < 2:
        return None
    return _CHANNEL_AXES[node.op_type]


def _weight(tensor: TensorProto, uses: list[_Use]) -> Weight:
    values = converted(array_of(tensor), np.float32)
    axes = [use.axis for use in reversed(uses) if use.needs_axis]
    axis = max(axes, key=axes.count) if axes else None
    nodes = tuple(dict.fromkeys(node_label(use.node) for use in uses))
    return Weight(
        tensor.name, uses[0].node.op_type, nodes, axis, values, FLOAT_TYPES[tensor.data_type]
    )


def _dtype_name(tensor: TensorProto) -> str:
    return str(helper.tensor_dtype_to_np_dtype(tensor.data_type))


def _reason(tensor: TensorProto, readers: list[NodeProto]) -> str:
    if not readers:
        return "no node reads it"
    quantized = next((reader for reader in readers if is_quantized(reader)), None)
    if quantized is not None:
        return f"already quantized ({quantized.op_type}): stays as it is"
    op_type, position = readers[0].op_type, list(readers[0].input).index(tensor.name)
    if tensor.data_type not in FLOAT_TYPES:
        kind = _dtype_name(tensor)
        if kind in ("float64", "bfloat16"):
            return f"{kind}: only float32 and float16 are quantized"
        return f"{kind}: an index, shape or flag of {op_type}"
    if readers[0].domain == _BLOCKED_DOMAIN:
        return "laid out for one processor by ONNX Runtime: give the model from before"
    if op_type in _WITH_BIAS and position >= 2:
        return f"bias or state of {op_type}: biases stay float"
    if "Normalization" in op_type:
        return f"parameter of {op_type}: normalization stays float"
    if op_type == "Gather" and position == 0:
        return "looked up by Gather, but no matrix of finite rows: stays float"
    return f"input {position} of {op_type}: not an operator with weights"

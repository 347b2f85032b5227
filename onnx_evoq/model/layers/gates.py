"""The closed form of recurrent operators: LSTM, GRU and RNN.

Their gates go on with ``W x + R h + b`` at each step, with the input x and the state h before it.

1. The columns of W are the inputs of all steps, its targets ``W x + b`` of the float model.
2. The columns of R are the states before all steps, as the quantized W leaves them. Its targets are
   the float model's ``W x + R h + b`` less the quantized model's ``W x``, so that R makes up for
   errors of W.
3. The initializer B holds a vector for W and one for R, and b is their sum. A layer changes its
   own one.
4. The hidden gate of a GRU multiplies ``R h`` and its half of b by the reset gate before it adds
   ``W x``, if linear_before_reset is set: these rows have a sum of their own. Else it multiplies h,
   so that h is a stand-in for the columns of these rows, and R corrects no mean.
"""

from collections.abc import Collection, Mapping

from onnx import NodeProto, TensorProto

from onnx_evoq.model.graph import attribute
from onnx_evoq.model.inside import gate_inputs, gate_states
from onnx_evoq.model.layers.layer import HalfBias, Layer, Product
from onnx_evoq.quantize import Dense

_W, _R, _B = 1, 2, 3  # inputs of the node
_OF_INPUTS = Dense("...c,drc->...dr")
_OF_STATES = Dense("...dc,drc->...dr")


def gate_layer(
    node: NodeProto, index: int, tensors: Mapping[str, TensorProto], shared: Collection[str]
) -> Layer | None:
    """The layer of a weight of a recurrent operator; None if it has none.

    Args:
        node: the operator, whose columns can be had (`has_gate_columns`).
        index: which of its inputs the weight is.
        tensors: the initializers by name.
        shared: the names of those that another node reads, too.
    """
    if index not in (_W, _R) or node.input[_R] not in tensors:
        return None
    directions, rows, states = tensors[node.input[_R]].dims
    gru = node.op_type == "GRU"
    resets_after = gru and bool(attribute(node, "linear_before_reset", 0))
    # The hidden gate is the last of a GRU's three.
    joint = tuple(not gru or row < 2 * states for row in range(rows)) * directions
    both = joint if resets_after else (True,) * len(joint)
    bias = node.input[_B] if len(node.input) > _B else ""
    own = bias in tensors and bias not in shared
    if index == _W:
        return Layer(
            node.input[_W], _OF_INPUTS, gate_inputs(node), None, bias if own else None,
            half_bias=HalfBias(0, both),
        )  # fmt: skip
    corrects = own and (resets_after or not gru)
    beside = None
    if node.input[_W] in tensors:
        beside = Product(node.input[_W], _OF_INPUTS, gate_inputs(node), joint)
    return Layer(
        node.input[_R], _OF_STATES, gate_states(node), None, bias if corrects else None,
        beside=beside, half_bias=HalfBias(1, both),
    )  # fmt: skip

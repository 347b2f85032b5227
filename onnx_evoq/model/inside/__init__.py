"""Knows how to compute what nodes hide: tensors inside bodies, and those inside recurrences."""

from onnx_evoq.model.inside.bodies import with_shown
from onnx_evoq.model.inside.gate_columns import has_gate_columns
from onnx_evoq.model.inside.graphs import constants_in, shown_nodes
from onnx_evoq.model.inside.names import gate_inputs, gate_states, input_inside, output_inside

__all__ = [
    "constants_in",
    "gate_inputs",
    "gate_states",
    "has_gate_columns",
    "input_inside",
    "output_inside",
    "shown_nodes",
    "with_shown",
]

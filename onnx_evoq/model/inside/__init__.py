"""Knows how to compute what nodes hide: tensors inside bodies, and those inside recurrences."""

from onnx_evoq.model.inside.bodies import with_shown
from onnx_evoq.model.inside.graphs import constants_in, shown_nodes
from onnx_evoq.model.inside.names import input_inside, output_inside

__all__ = ["constants_in", "input_inside", "output_inside", "shown_nodes", "with_shown"]

"""Say at each node with a quantized weight which width and step it has, for people who look.

Viewers such as Netron show the `doc_string` of a node. Notes are as long with any steps, so that
the size of a file is known before the steps are.
"""

from collections.abc import Mapping

import numpy as np
from onnx import ModelProto, NodeProto

from onnx_evoq.array_types import Float32Array
from onnx_evoq.model.emission import Quantized
from onnx_evoq.model.emitted.coded_weights import CodedWeight, coded_weights
from onnx_evoq.model.graph import all_nodes
from onnx_evoq.quantize import FixedPoint

_MARK = "onnx-evoq: "  # before a note
_LONGEST = len("9.53674316e-07")  # of a step


def note_widths(model: ModelProto, quantized: Quantized) -> None:
    """Add notes to the nodes of an emitted model, in place, behind what is said there.

    Args:
        model: an emitted model.
        quantized: codes and grid by weight.
    """
    weights = {weight.tensor: weight for weight in coded_weights(model, quantized)}
    nodes = list(all_nodes(model.graph))
    for node in nodes:
        if node.op_type == "Cast" and node.input[0] in weights:  # a weight of 16 bits
            weights[node.output[0]] = weights[node.input[0]]
    for node in nodes:
        read = dict.fromkeys(name for name in node.input if name in weights)
        if read and node.op_type != "Cast" and weights.keys().isdisjoint(node.output):
            grids = {name: quantized[weights[name].name].grid for name in read}
            _add(node, _note({name: weights[name] for name in read}, grids))


def _add(node: NodeProto, note: str) -> None:
    """Put a note behind the text of a node, in place of an older note."""
    lines = node.doc_string.splitlines()
    kept = [line for line in lines if not line.startswith(_MARK)]
    node.doc_string = "\n".join([*kept, note])


def _note(weights: Mapping[str, CodedWeight], grids: Mapping[str, FixedPoint]) -> str:
    """The note of a node that reads some weights."""
    parts = []
    for name, weight in weights.items():
        grid = grids[name]
        label = f"{weight.name}: " if len(weights) > 1 else ""
        parts.append(label + _width_and_step(grid, weight.step))
    return _MARK + "; ".join(parts)


def _width_and_step(grid: FixedPoint, stored: Float32Array | None) -> str:
    """The width and the step of a weight, such as "4 bits, step 0.03125"."""
    steps = np.asarray(grid.step if stored is None else stored, np.float64).reshape(-1)
    widths = [grid.bits] if isinstance(grid.bits, int) else sorted({min(grid.bits), max(grid.bits)})
    text = f"{'-'.join(map(str, widths))} bits, step"
    if grid.axis is None:
        return f"{text} {steps[0]:.9g}".ljust(len(text) + 1 + _LONGEST)
    ends = f"{text}s {steps.min():.9g} to {steps.max():.9g}"
    return ends.ljust(len(text) + 6 + 2 * _LONGEST)

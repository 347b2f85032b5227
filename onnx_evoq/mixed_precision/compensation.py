"""Compensation: the share of each layer's error that the layers behind it cannot make up for.

A model is reconstructed layer by layer, each for the inputs that the layers before it give. So a
layer's error is partly compensated by the layers behind it: 3 % of its effect on the output is left
at the first layer of a ResNet-20, and 86 % at the last one (4 bits). Sensitivities do not show
that. So each layer is quantized once more by itself, and all layers behind it get the best float
weights W* for the inputs that they then have. The error that is left is the one that counts. Its
sum over the layers is within 4 % of the error of that ResNet-20 with all layers reconstructed in
turn, at 3 and at 4 bits; the sum of the plain sensitivities is nearly four times as much.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from onnx_evoq.array_types import Array, Float64Array
from onnx_evoq.mixed_precision.layer_table import LayerTable
from onnx_evoq.mixed_precision.refits_behind import errors_behind
from onnx_evoq.mixed_precision.search_space import WIDTHS
from onnx_evoq.setup import Task

_MEASURED = tuple(WIDTHS.index(bits) for bits in (4, 3, 2))  # the shares hardly change above
_TIME_PARTS = 3  # of the time left, one of which this may take


def uncompensated_shares(task: Task, table: LayerTable) -> Float64Array:
    """The share of each part's sensitivity that the layers behind it do not compensate.

    It is measured with one step per tensor, and taken for steps per channel and groups of channels,
    too. It may be above 1 where the output's error is not in proportion to the layer's own error.

    Widths above the measured ones have the share of the widest of these. Layers that are not
    measured in time have the share of the nearest measured layer in the graph's order; the last
    layers are measured first.

    Args:
        task: the model, its weights and its samples; its widths play no part.
        table: the variants of the layers, and their sensitivities.

    Returns:
        (parts, widths).
    """
    weights, deadline = list(task.weights), task.deadline.share(_TIME_PARTS)
    steps = task.steps.of("compensation", (table.sensitivity,))
    shares = np.full((len(weights), len(WIDTHS)), np.nan)
    order = [(width, index) for width in _MEASURED for index in reversed(range(len(weights)))]
    labels = {place: f"{weights[place[1]].name} at {WIDTHS[place[0]]} bits" for place in order}
    kept = {place: known for place in order if (known := steps.load(labels[place])) is not None}

    def wanted() -> Iterator[tuple[int, Mapping[str, Array]]]:
        for width, index in order:
            if deadline.passed:
                return
            if (width, index) not in kept:
                name = weights[index].name
                variant = table.layers.of[name][0][0][width]
                yield index, table.layers.whole(name, variant)

    found = errors_behind(task, table.layers.model, wanted())
    with task.progress("compensation", len(order)) as step:
        for width, index in order:
            error: float | None = None
            if (width, index) in kept:
                error = float(kept[width, index].arrays["error"])
            elif not deadline.passed:
                error = next(found, None)
                if error is not None:
                    steps.save(labels[width, index], {"error": np.array(error)})
            if error is not None:
                own = table.space.indices[weights[index].name]
                sensitivity = table.sensitivity[own, 0, width].sum()
                measurable = 0 < error < np.inf and sensitivity > 0
                shares[index, width] = error / sensitivity if measurable else 1.0
            step(1)
    shares = fill_gaps(shares)
    index_of = {weight.name: index for index, weight in enumerate(weights)}
    return shares[[index_of[part.weight] for part in table.space.parts]]


def fill_gaps(shares: Float64Array) -> Float64Array:
    """Give layers that were not measured a share: of the nearest layer, or of the next width.

    Args:
        shares: (layers, widths); NaN where nothing was measured.

    Returns:
        (layers, widths), all finite; 1 where no layer was measured at any width.
    """
    shares, every = shares.copy(), np.arange(len(shares))
    widest = _MEASURED[0]
    for width in _MEASURED:
        known = np.flatnonzero(np.isfinite(shares[:, width]))
        if len(known):
            nearest = known[np.abs(known[:, None] - every).argmin(axis=0)]
            shares[:, width] = shares[nearest, width]
        else:
            shares[:, width] = 1.0 if width == widest else shares[:, width + 1]
    shares[:, widest + 1 :] = shares[:, [widest]]
    return shares

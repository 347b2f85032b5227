"""What sensitivities miss: that layers make up for what those before them lost.

A model is reconstructed layer by layer, each for the inputs that it gets by then, so that a layer's
error is repaired by the layers behind it, more or less: to 3 % of what it did to the output at the
first layer of a ResNet-20, to 86 % at the last one (4 bits). So each layer is quantized once more
by itself, and all layers behind it get the float weights W* that are best for what reaches them.
What is then left of the error is what counts: added up over the layers, it is within 4 % of the
error of that ResNet-20 with all layers built in turn, at 3 and at 4 bits, where the plain harm is
nearly four times as much.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.engine import ActivationCache, gather_samples
from onnx_evoq.metrics import find_metric
from onnx_evoq.mixed_precision.layer_table import LayerTable
from onnx_evoq.mixed_precision.space import WIDTHS
from onnx_evoq.model import Layer, Weight, find_layers, replace_weights
from onnx_evoq.quantize import refit
from onnx_evoq.setup import ScoringSet, Task, model_value

_MEASURED = (4, 3, 2)  # widths; the share that is left hardly changes above
_REFIT_SAMPLES = 256
_REFIT_POSITIONS = 16_384  # that moments are gathered from
_PARTS = 3  # of the time left, one of which this may take
_SEED = 0  # of the positions, the same for all layers and all runs


def uncompensated_shares(task: Task, found: LayerTable) -> Float64Array:
    """The share of each part's harm that layers behind it do not repair, (parts, widths).

    It is measured with one step for each layer, and holds for steps per channel and groups of
    channels, too. It may be above 1 where harm is not in proportion to the layer's own error.

    Widths above those that are measured have the share of the widest of them. Layers that time did
    not suffice for have that of the nearest one in the graph's order; the last ones come first.

    Args:
        task: what there is to do; its widths play no part.
        found: the layers at all widths.
    """
    scoring = task.search_set.first(_REFIT_SAMPLES).scored_by(find_metric("nmse"))
    layers = {
        name: replace(layer, activation=None)
        for name, layer in find_layers(found.model, task.weights).items()
    }
    share = 0.5 / max(len(layers), 1)
    caches = {name: ActivationCache(scoring.batches, task.resources, share) for name in layers}
    weights, deadline = list(task.weights), task.deadline.share(_PARTS)
    left = np.full((len(weights), len(WIDTHS)), np.nan)
    with task.progress("repair", len(_MEASURED) * len(weights)) as step:
        for bits in _MEASURED:
            gene = WIDTHS.index(bits)
            for index in range(len(weights) - 1, -1, -1):
                if not deadline.passed:
                    name = weights[index].name
                    behind = {w: layers[w.name] for w in weights[index + 1 :] if w.name in layers}
                    error = _compensated(task, found, scoring, name, gene, behind, caches)
                    sensitivity = found.sensitivity[found.space.indices[name], 0, gene].sum()
                    left[index, gene] = (
                        error / sensitivity if 0 < error < np.inf and sensitivity > 0 else 1.0
                    )
                step(1)
    _fill(left)
    of_weight = {weight.name: index for index, weight in enumerate(weights)}
    return left[[of_weight[part.weight] for part in found.space.parts]]


def _compensated(
    task: Task,
    found: LayerTable,
    scoring: ScoringSet,
    name: str,
    gene: int,
    behind: Mapping[Weight, Layer],
    caches: Mapping[str, ActivationCache],
) -> float:
    """The output's error with one weight quantized, once the layers behind it are refitted."""
    variant = found.variants[name][0][0][WIDTHS[gene]]
    values = {name: variant.values}
    if name in found.biases:
        values[found.biases[name]] = variant.bias
    model = replace_weights(found.model, values)
    cache = ActivationCache(scoring.batches, task.resources, share=0.25)
    for weight, layer in behind.items():
        rng, both = np.random.default_rng(_SEED), [cache, caches[weight.name]]
        samples = gather_samples(
            found.model, model, weight, layer, both, scoring.batches, rng, _REFIT_POSITIONS
        )
        if samples is None:
            continue
        best, bias = refit(weight.values, layer.linear, samples.sums.moments())
        values = {weight.name: best}
        if layer.bias is not None:
            values[layer.bias] = bias
        model = replace_weights(model, values)
    return model_value(model, scoring, task.resources)


def _fill(left: Float64Array) -> None:
    """Give what was not measured the share of the nearest layer, or of the next width."""
    everywhere, widest = np.arange(len(left)), WIDTHS.index(_MEASURED[0])
    for gene in map(WIDTHS.index, _MEASURED):
        known = np.flatnonzero(np.isfinite(left[:, gene]))
        if len(known):
            left[:, gene] = left[known[np.abs(known[:, None] - everywhere).argmin(axis=0)], gene]
        else:
            left[:, gene] = 1.0 if gene == widest else left[:, gene + 1]
    left[:, widest + 1 :] = left[:, [widest]]

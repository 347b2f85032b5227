"""Compensation: the share of each layer's error that the layers behind it cannot make up for.

A model is reconstructed layer by layer, each for the inputs that the layers before it give. So a
layer's error is partly compensated by the layers behind it: 3 % of its effect on the output is left
at the first layer of a ResNet-20, and 86 % at the last one (4 bits). Sensitivities do not show
that. So each layer is quantized once more by itself, and all layers behind it get the best float
weights W* for the inputs that they then have. The error that is left is the one that counts. Its
sum over the layers is within 4 % of the error of that ResNet-20 with all layers reconstructed in
turn, at 3 and at 4 bits; the sum of the plain sensitivities is nearly four times as much.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from onnx_evoq.array_types import Float64Array
from onnx_evoq.engine import Activations, gather_at
from onnx_evoq.mixed_precision.layer_table import LayerTable, LayerVariants, Variant
from onnx_evoq.mixed_precision.search_space import WIDTHS
from onnx_evoq.model import Layer, Weight, as_network, bias_values, find_layers
from onnx_evoq.quantize import refit
from onnx_evoq.setup import ScoringSet, Task, model_value

_MEASURED = tuple(WIDTHS.index(bits) for bits in (4, 3, 2))  # the shares hardly change above
_REFIT_SAMPLES = 256
_REFIT_POSITIONS = 16_384  # fewer than for variants: no codes are rounded with these moments
_TIME_PARTS = 3  # of the time left, one of which this may take
_SEED = 0  # of the positions, the same for all layers and all runs


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
    refits = _Refits.of(task, table.layers)
    steps = task.steps.of("compensation", (table.sensitivity,))
    shares = np.full((len(weights), len(WIDTHS)), np.nan)
    with task.progress("compensation", len(_MEASURED) * len(weights)) as step:
        for width in _MEASURED:
            for index in reversed(range(len(weights))):
                if not deadline.passed:
                    name = weights[index].name
                    variant = table.layers.of[name][0][0][width]
                    label = f"{name} at {WIDTHS[width]} bits"
                    kept = steps.load(label)
                    if kept is None:
                        error = refits.error_behind(name, variant, weights[index + 1 :])
                        steps.save(label, {"error": np.array(error)})
                    else:
                        error = float(kept.arrays["error"])
                    sensitivity = table.sensitivity[table.space.indices[name], 0, width].sum()
                    measurable = 0 < error < np.inf and sensitivity > 0
                    shares[index, width] = error / sensitivity if measurable else 1.0
                step(1)
    shares = fill_gaps(shares)
    index_of = {weight.name: index for index, weight in enumerate(weights)}
    return shares[[index_of[part.weight] for part in table.space.parts]]


@dataclass(frozen=True, eq=False)
class _Refits:
    """Refits the layers behind a quantized one.

    Attributes:
        task: the samples, and the resources that may be used.
        variants: the float model, and the names of its biases.
        scoring: the samples that layers are refitted and models are scored on.
        layers: the layers with a closed form, without their activations, by weight.
        of_float: the activations of the float model at each of these layers.
    """

    task: Task
    variants: LayerVariants
    scoring: ScoringSet
    layers: Mapping[str, Layer]
    of_float: Mapping[str, Activations]

    @classmethod
    def of(cls, task: Task, variants: LayerVariants) -> "_Refits":
        """Prepare refits of all layers of the float model."""
        scoring = task.search_set.first(_REFIT_SAMPLES).scored_by_relative_error()
        layers = {
            name: layer.without_activations
            for name, layer in find_layers(variants.model, task.weights).items()
        }
        share = 0.5 / max(len(layers), 1)
        of_float = {name: Activations(scoring.batches, task.resources, share) for name in layers}
        return cls(task, variants, scoring, layers, of_float)

    def error_behind(self, name: str, variant: Variant, behind: Sequence[Weight]) -> float:
        """The output's error with one weight quantized and the layers behind it refitted.

        Args:
            name: the weight's name.
            variant: the weight, quantized.
            behind: the weights behind it, in the graph's order.
        """
        float_model = self.variants.model
        model = as_network(float_model).with_values(self.variants.whole(name, variant))
        activations = Activations(self.scoring.batches, self.task.resources, share=0.25)
        for weight in behind:
            if weight.name not in self.layers:
                continue
            layer, rng = self.layers[weight.name], np.random.default_rng(_SEED)
            both = activations, self.of_float[weight.name]
            samples = gather_at(float_model, model, weight, layer, both, rng, _REFIT_POSITIONS)
            if samples is None:
                continue
            best, bias = refit(weight.values, layer.linear, samples.sums.moments())
            values = {weight.name: best}
            for use, own in zip(layer.uses, np.atleast_2d(bias), strict=True):
                if use.bias is not None:
                    values[use.bias] = bias_values(model, use, own)
            model = model.with_values(values)
        return model_value(model, self.scoring, self.task.resources)


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

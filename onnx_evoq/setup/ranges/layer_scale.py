"""The range of images, judged by the size of what the first layer makes of them.

Where BatchNormalization was folded into the layers, and in most other networks, a layer computes
numbers of about 1. On standardized images the outputs of the first layer have a standard deviation
that tells much larger or smaller ones: in ten networks it was between 0.1 and 1.1 for standardized
images, between 2 and 4.2 for those that take numbers from 0 or -1 to 1, and below 0.02 for those
that take bytes.
"""

from collections.abc import Sequence

import numpy as np

from onnx_evoq.batch import fixed_batch_size, make_batches
from onnx_evoq.data import InputPlan, Noise, draw
from onnx_evoq.model import Model, computing, first_layer, norm_statistics
from onnx_evoq.setup.ranges.standardized import standardized_inputs, with_noise
from onnx_evoq.setup.sessions import Resources, open_session
from onnx_evoq.signature import TensorSpec

_SAMPLES = 4
# The limits of images by the least deviation of what the first layer makes of standardized ones.
_UP_TO_1, _UP_TO_SIGNED_1, _STANDARDIZED = 3.2, 1.6, 0.03
_LEAST = 0.0005  # below, no usual range makes numbers of about 1


def range_by_scale(
    model: Model,
    specs: Sequence[TensorSpec],
    plans: Sequence[InputPlan],
    resources: Resources,
) -> list[InputPlan] | None:
    """Plans with images in another range; None if they may be standardized.

    Args:
        model: the model.
        specs: its inputs.
        plans: inputs with which it runs.
        resources: what may be used of the machine.
    """
    if norm_statistics(model):  # what these nodes read may have any size
        return None
    names = standardized_inputs(specs, plans)
    image = next((plan for plan in plans if plan.name in names), None)
    layer = None if image is None else first_layer(model, image.name)
    if image is None or layer is None or not isinstance(image.values, Noise):
        return None
    if not image.values.image:
        return None
    limits = _limits(_deviation(model, specs, plans, layer, resources))
    return None if limits is None else with_noise(plans, names, image.values.within(*limits))


def _limits(deviation: float) -> tuple[float, float] | None:
    """The lowest and the highest value of images; None if they may be standardized."""
    if deviation >= _UP_TO_SIGNED_1:
        return (0, 1) if deviation >= _UP_TO_1 else (-1, 1)
    return (0, 255) if _LEAST < deviation < _STANDARDIZED else None


def _deviation(
    model: Model,
    specs: Sequence[TensorSpec],
    plans: Sequence[InputPlan],
    layer: tuple[str, int],
    resources: Resources,
) -> float:
    """The median of the deviations of a layer's channels."""
    output, channel_axis = layer
    session = open_session(computing(model, [output]), resources)
    inputs = draw(plans, _SAMPLES, np.random.default_rng(0))
    values = []
    for batch in make_batches(inputs, specs, fixed_batch_size(inputs, specs) or 1):
        found = session.run({read: batch.feed[read] for read in session.inputs})[output]
        values.append(np.moveaxis(found, channel_axis, 0).reshape(found.shape[channel_axis], -1))
    deviations = np.concatenate(values, axis=1).std(axis=1, dtype=np.float64)  # (channels,)
    return float(np.median(deviations))

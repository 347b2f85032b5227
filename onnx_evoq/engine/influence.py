"""Whether the weights have an effect on a model's outputs with the samples that score it.

A softmax over one row is 1, a Relu that no sample opens is 0, and a saturated Sigmoid is 1,
whatever the weights are. Then any quantized model seems perfect, and nothing can be selected. So
the weights are changed by much more than by quantization, and the outputs must change.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from onnx_evoq.array_blocks import blocks
from onnx_evoq.array_types import Array, Float32Array
from onnx_evoq.errors import ModelError
from onnx_evoq.model import Model, Weight, as_network, weights_before
from onnx_evoq.setup import Resources, ScoringSet, run_model

_SAMPLES = 4
_MOST_VALUES = 2**24  # of the weights that are changed, the last ones
_BY_ROUNDING = 1e-6  # of the outputs' root mean square, by which arithmetic in floats may change it
_UNMOVED = 1e-3  # of the outputs' deviation from sample to sample


def unmoved_outputs(
    model: Model, weights: Sequence[Weight], scoring: ScoringSet, resources: Resources
) -> tuple[str, ...]:
    """The outputs of floats that depend on weights, but stay as they are when weights change.

    Args:
        model: the float model.
        weights: its weights, in the graph's order.
        scoring: the samples, with the model's outputs.
        resources: what the run may use.
    """
    some, changed = scoring.first(_SAMPLES), dict(_changed(weights))
    reference = some.criterion.reference or ()
    names = [
        name
        for name, values in reference[0].items()
        if values.dtype.kind == "f" and weights_before(model, list(changed), [name])
    ]
    if not names:
        return ()
    try:
        outputs = list(run_model(as_network(model).with_values(changed), some.batches, resources))
    except ModelError:  # a model that fails with other weights depends on them
        return ()
    return tuple(
        name
        for name in names
        if _stays([part[name] for part in outputs], [part[name] for part in reference])
    )


def constant_outputs(scoring: ScoringSet) -> tuple[str, ...]:
    """The outputs of floats that are the same for all samples, of which there are several."""
    reference = scoring.criterion.reference or ()
    if scoring.samples < 2:
        return ()
    return tuple(
        name
        for name, first in reference[0].items()
        if first.dtype.kind == "f" and _same_for_all([part[name] for part in reference])
    )


def _changed(weights: Sequence[Weight]) -> Iterator[tuple[str, Float32Array]]:
    """The last weights by name, with each value multiplied by a number from 0 to 1."""
    rng, left = np.random.default_rng(0), _MOST_VALUES
    for weight in reversed(weights):
        changed = rng.random(weight.shape, np.float32)
        for rows, block in blocks(weight.values):
            changed[rows] *= block
        yield weight.name, changed
        left -= changed.size
        if left <= 0:
            break


def _stays(outputs: Sequence[Array], reference: Sequence[Array]) -> bool:
    """Whether outputs are the reference outputs, up to rounding."""
    if any(y.shape != r.shape for y, r in zip(outputs, reference, strict=True)):
        return False
    y, r = (np.concatenate([part.ravel() for part in each]) for each in (outputs, reference))
    change, size = _root_mean_square(y.astype(np.float64) - r), _root_mean_square(r)
    return change <= max(_BY_ROUNDING * size, _UNMOVED * _deviation(reference))


def _deviation(parts: Sequence[Array]) -> float:
    """The standard deviation of an output from sample to sample; 0 if it is not known."""
    if len({part.shape[1:] for part in parts}) > 1:
        return 0.0
    every = np.concatenate(parts).astype(np.float64)
    return _root_mean_square(every - every.mean(axis=0))


def _root_mean_square(values: Array) -> float:
    return float(np.sqrt(np.square(values, dtype=np.float64).mean())) if values.size else 0.0


def _same_for_all(parts: Sequence[Array]) -> bool:
    """Whether all samples have the same values, up to rounding."""
    first = parts[0][:1].astype(np.float64)
    if any(part.shape[1:] != first.shape[1:] for part in parts):
        return False
    most = _BY_ROUNDING * np.abs(first).max(initial=0)
    return all(bool(np.all(np.abs(part.astype(np.float64) - first) <= most)) for part in parts)

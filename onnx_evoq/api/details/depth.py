"""The relative error behind each layer, for several quantized models.

The error behind a layer is the squared difference of its output and the float model's, as a share
of the float model's power. Channels of a quantized model may be scaled: then the float form of that
model, with the same scales, says by how much, and each channel is divided by its scale first.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_evoq.array_types import Array, Arrays, Float64Array
from onnx_evoq.batch import Batch
from onnx_evoq.model import Runnable, Weight, find_layers, with_outputs
from onnx_evoq.progress import Progress, silent
from onnx_evoq.setup import DEFAULT_RESOURCES, Resources, open_session

_CHANNELS_FIRST = ("Conv", "ConvTranspose", "DeformConv", "FusedConv")  # after the samples
_PER_OCTAVE = 8  # scales of channels are multiples of this part of an octave
_ROUNDED = 0.05  # of such a part, by which a scale that is measured may differ from one of them
_LEAST = 1e-30  # power
_PAIRS = ("QuantizeLinear", "Clip", "Cast", "DequantizeLinear")  # around an activation
_ACTIVATIONS = (
    "Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Elu", "Gelu",
    "Softmax", "Identity",
)  # fmt: skip


@dataclass(frozen=True)
class Form:
    """A quantized model, and what it would be without rounding.

    Attributes:
        quantized: the model.
        plain: the same with float weights, and channels of the same scales; None if it is the
            float model.
    """

    quantized: Runnable
    plain: Runnable | None


def errors_through_depth(
    model: Runnable,
    weights: Sequence[Weight],
    forms: Mapping[str, Form],
    batches: Sequence[Batch],
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
) -> list[dict[str, object]]:
    """The relative error behind each layer of quantized models.

    Args:
        model: the float model.
        weights: its weights, in the graph's order.
        forms: the quantized models, by name.
        batches: the samples.
        resources: what the runs may use.
        progress: shows how many batches are done.

    Raises:
        ModelError: the outputs of layers cannot be computed.

    Returns:
        For each layer whose output, or what is computed from it, is a tensor of all models:
        {"weight": its name, "tensor": that tensor, and the error of each form, by name}; None where
        a form has no finite value there.
    """
    layers = find_layers(model, weights)
    every = [model, *(form.quantized for form in forms.values())]
    known = set.intersection(*map(_tensors_of, every))
    places: dict[str, str] = {}  # by weight
    axes: dict[str, int] = {}
    for weight in weights:
        layer = layers.get(weight.name)
        output = None if layer is None or layer.output is None else layer.output
        place = None if output is None else _first_of(model, output, known)
        if place is not None:
            places[weight.name] = place
            axes[place] = 1 if weight.op_type in _CHANNELS_FIRST else -1
    names = list(axes)
    if not names:
        return []
    reference = _Read(model, names, resources)
    opened = {name: _Opened(form, names, resources) for name, form in forms.items()}
    power = dict.fromkeys(names, 0.0)
    with progress("errors by layer", len(batches)) as step:
        for batch in batches:
            expected = reference.run(batch.feed)
            for name in names:
                power[name] += float(np.square(expected[name], dtype=np.float64).sum())
            for form in opened.values():
                form.add(batch, expected, axes)
            step(1)
    of_tensors = {
        name: {of: form.error(name, power[name]) for of, form in opened.items()} for name in names
    }
    return [{"weight": name, "tensor": at, **of_tensors[at]} for name, at in places.items()]


def _tensors_of(model: Runnable) -> set[str]:
    return {name for node in model.graph.node for name in node.output}


def _first_of(model: Runnable, output: str, known: Collection[str]) -> str | None:
    """The output of a layer, or what alone is computed from it, if all models have that tensor.

    An activation function may be one with the layer before it where activations are integers.
    """
    while output not in known:
        readers = [node for node in model.graph.node if output in node.input]
        if len(readers) != 1 or readers[0].op_type not in _ACTIVATIONS:
            return None
        output = readers[0].output[0]
    return output


class _Opened:
    """A form in sessions that give the outputs of layers, and the errors so far."""

    def __init__(self, form: Form, names: Sequence[str], resources: Resources) -> None:
        self._quantized = _Read(form.quantized, names, resources)
        self._plain = None if form.plain is None else _Read(form.plain, names, resources)
        self._scales: dict[str, Float64Array] = {}
        self._errors = dict.fromkeys(names, 0.0)

    def add(self, batch: Batch, expected: Arrays, axes: Mapping[str, int]) -> None:
        """Add the squared errors of a batch."""
        found = self._quantized.run(batch.feed)
        plain = None if self._plain is None or self._scales else self._plain.run(batch.feed)
        for name in self._errors:
            y, r = (_channels_last(each[name], axes[name]) for each in (found, expected))
            if plain is not None:
                self._scales[name] = scales_between(_channels_last(plain[name], axes[name]), r)
            self._errors[name] += float(np.square(y / self._scales.get(name, 1.0) - r).sum())

    def error(self, name: str, power: float) -> float | None:
        """The error as a share of the power; None if it is not finite."""
        value = self._errors[name]
        return value / max(power, _LEAST) if np.isfinite(value) else None


def scales_between(scaled: Float64Array, plain: Float64Array) -> Float64Array:
    """The scale of each channel, from the power of its values.

    Args:
        scaled: (values, channels) of the model with scales.
        plain: the same values without scales.

    Returns:
        (channels,) 1 for a channel without power. A scale that is about a multiple of an eighth of
        an octave is one exactly.
    """
    after, before = (np.square(each).mean(axis=0) for each in (scaled, plain))
    known = np.minimum(after, before) > _LEAST
    ratio = np.divide(after, before, out=np.ones_like(before), where=known)
    exponent = _PER_OCTAVE * np.log2(ratio) / 2
    nearest = np.rint(exponent)
    exponent = np.where(abs(exponent - nearest) < _ROUNDED, nearest, exponent)
    return np.asarray(np.exp2(exponent / _PER_OCTAVE))


def _channels_last(values: Array, axis: int) -> Float64Array:
    """(values, channels)"""
    axis = axis if -values.ndim <= axis < values.ndim else -1
    moved = np.moveaxis(values, axis, -1).astype(np.float64)
    return moved.reshape(-1, moved.shape[-1])


class _Read:
    """Some tensors of a model as other nodes read them: behind QuantizeLinear, if there is one.

    Args:
        model: the model.
        names: the tensors.
        resources: what its runs may use.
    """

    def __init__(self, model: Runnable, names: Sequence[str], resources: Resources) -> None:
        around = [node for node in model.graph.node if node.op_type in _PAIRS]
        around.sort(key=lambda node: node.op_type == "QuantizeLinear")  # these count, at the end
        readers = {node.input[0]: node for node in around}
        self._places = {name: _dequantized(readers, name) for name in names}
        part = with_outputs(model, list(dict.fromkeys(self._places.values())))
        self._session = open_session(part, resources, "the model up to its layers")

    def run(self, feed: Arrays) -> dict[str, Array]:
        """The tensors for one feed, by their names."""
        found = self._session.run(feed)
        return {name: found[place] for name, place in self._places.items()}


def _dequantized(readers: Mapping[str, Any], name: str) -> str:
    """The tensor that a DequantizeLinear makes of another, or that one itself."""
    if name not in readers or readers[name].op_type != "QuantizeLinear":
        return name
    node = readers[name]
    while node.op_type != "DequantizeLinear":
        node = readers[node.output[0]]
    return str(node.output[0])

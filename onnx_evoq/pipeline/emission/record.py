"""The record of how a model was made, which its metadata hold, and what contradicts it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.array_blocks import blocks, rows_of
from onnx_evoq.errors import ModelError
from onnx_evoq.model import CodedWeight, Model, coded_weights, graph_hash
from onnx_evoq.pipeline.emission.metadata import HASH
from onnx_evoq.quantize import Bits

_KEYS = ("version", "seed", "options", "source", "weights", "scores", "hash")
_ROUNDING = 4.0  # times the precision of its type, by which a value may miss its grid


@dataclass(frozen=True)
class RecordedWeight:
    """A weight as it was quantized.

    Attributes:
        bits: its width, or one for each channel.
        frac_bits: bits behind the binary point of its step, or of each step; None for steps that
            are no powers of two.
        step: these steps, else None.
        axis: of the channels; None for one step.
    """

    bits: Bits
    frac_bits: int | list[int] | None = None
    step: float | list[float] | None = None
    axis: int | None = None

    @property
    def steps(self) -> NDArray[np.float64]:
        """() or (channels,)."""
        if self.frac_bits is None:
            return np.asarray(self.step, np.float64)
        return np.asarray(np.ldexp(1.0, -np.asarray(self.frac_bits)))


@dataclass(frozen=True)
class Record:
    """How a model was made.

    Attributes:
        version: of this program.
        seed: of all random draws.
        options: with which it was made.
        source: the SHA-256 of the float model.
        weights: the quantized weights by name.
        scores: the metric and its values.
        scored_at: the tensors at which it was scored; empty for its outputs.
        hash: of its graph and its values.
    """

    version: str
    seed: int
    options: Mapping[str, Any]
    source: str
    weights: Mapping[str, RecordedWeight]
    scores: Mapping[str, Any]
    scored_at: tuple[str, ...]
    hash: str


def record_of(model: Model, name: str) -> Record:
    """The record that an emitted model holds.

    Args:
        model: the model.
        name: its name in messages.

    Raises:
        ModelError: it holds none, or a damaged one.
    """
    found = {entry.key: entry.value for entry in model.metadata_props}
    if not any(f"onnx_evoq.{key}" in found for key in _KEYS):
        raise ModelError(
            f"{name}: holds no record of onnx-evoq: give a model that onnx-evoq wrote."
        )
    if HASH not in found:
        raise ModelError(
            f"{name}: was written by a version of onnx-evoq whose record holds no hash: write it "
            "again."
        )
    try:
        version, seed, options, source, weights, scores, own = (
            found[f"onnx_evoq.{key}"] for key in _KEYS
        )
        return Record(
            version,
            int(seed),
            json.loads(options),
            source,
            {weight: _weight(given) for weight, given in json.loads(weights).items()},
            json.loads(scores),
            tuple(json.loads(found.get("onnx_evoq.scored_at", "[]"))),
            own,
        )
    except (KeyError, ValueError, TypeError, AttributeError) as cause:
        raise ModelError(
            f"{name}: its record is damaged ({type(cause).__name__}: {cause}): write it again."
        ) from cause


def _weight(given: Mapping[str, Any]) -> RecordedWeight:
    bits = given["bits"]
    return RecordedWeight(
        tuple(bits) if isinstance(bits, list) else int(bits),
        given["frac_bits"],
        given.get("step"),
        given.get("axis"),
    )


def changed(model: Model, record: Record) -> bool:
    """Whether the graph or the values of a model are others than those that were written."""
    return graph_hash(model) != record.hash


def off_their_grids(model: Model, record: Record) -> dict[str, str]:
    """A sentence on each weight that is not on its grid, by name.

    Args:
        model: an emitted model.
        record: what it says of itself.
    """
    faults, seen = dict[str, str](), set[str]()
    for stored in coded_weights(model, record.weights.keys()):
        seen.add(stored.name)
        fault = _fault(stored, record.weights[stored.name], "activations" in record.options)
        if fault:
            faults[stored.name] = f"weight {stored.name!r}: {fault}."
    for name in record.weights:
        if name not in seen:
            faults[name] = f"weight {name!r}: is not in the file."
    return faults


def _fault(stored: CodedWeight, weight: RecordedWeight, coarser: bool) -> str:
    """What is wrong with a weight; empty if nothing is.

    Args:
        stored: as the model holds it.
        weight: as it was quantized.
        coarser: whether its steps may be larger, as a bias of integers may ask for.
    """
    if stored.zero_points:
        return "its zero point is not 0"
    recorded, widths = _one_if_alone(weight.steps), _one_if_alone(np.asarray(weight.bits))
    steps = recorded if stored.step is None else np.asarray(stored.step, np.float64)
    if widths.ndim and widths.shape != steps.shape:
        return f"it has {steps.size} steps for {widths.size} widths"
    if stored.step is not None and not coarser and not _same(steps, recorded):
        return "its step is not the one that was recorded"
    rank = stored.values.ndim
    axis = weight.axis if stored.axis is None else stored.axis
    if steps.ndim and not (rank > (axis or 0) and stored.values.shape[axis or 0] == steps.size):
        return f"its shape {stored.values.shape} has not {steps.size} channels"
    step, low, high = (
        _along(each, axis, rank)
        for each in (steps, -(2.0 ** (widths - 1)), 2.0 ** (widths - 1) - 1)
    )
    off = beyond = 0
    for rows, block in blocks(stored.values):
        numbers = block.astype(np.float64)
        if not stored.are_codes:
            ratio = numbers / rows_of(step, rows)
            numbers = np.rint(ratio)
            rounding = _ROUNDING * np.finfo(block.dtype).eps
            off += int((~(np.abs(ratio - numbers) <= rounding * np.abs(ratio))).sum())
        beyond += int(((numbers < rows_of(low, rows)) | (numbers > rows_of(high, rows))).sum())
    if off:
        return f"{off} of {stored.values.size} values are no whole number of steps"
    if beyond:
        width = "their channel's bits" if widths.ndim else f"{weight.bits} bits"
        return f"{beyond} of {stored.values.size} codes pass {width}"
    return ""


def _one_if_alone(values: NDArray[Any]) -> NDArray[Any]:
    """Values by channel; one for all, (), if there is one channel."""
    return values.reshape(()) if values.size == 1 else values


def _same(steps: NDArray[np.float64], recorded: NDArray[np.float64]) -> bool:
    """Whether steps are those that were recorded."""
    return steps.shape == recorded.shape and bool((steps == recorded).all())


def _along(values: NDArray[np.float64], axis: int | None, rank: int) -> NDArray[np.float64]:
    """Values by channel, in the shape that goes along an axis of so many."""
    if not values.ndim:
        return values
    shape = [1] * rank
    shape[axis or 0] = -1
    return values.reshape(shape)

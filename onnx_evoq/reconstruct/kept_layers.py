"""The layers of a reconstruction that are kept, so that it can go on after them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from onnx_evoq.array_types import Array, Float32Array
from onnx_evoq.quantize import Effort, LayerReconstruction, arrays_of, weight_of
from onnx_evoq.record import Steps, set_state, state_of

_BIAS = "bias of "  # begins the name of the values of a bias in the model
_SAMPLES = "(samples)"  # a step that is no weight
_PARTS = ("bias", "up", "down", "spread", "best_weight")  # of a `LayerReconstruction`


@dataclass(frozen=True, eq=False)
class KeptLayer:
    """What a reconstruction did with a layer.

    Attributes:
        effort: the work on it; None if it was rounded to save time.
        found: the layer in closed form; None if it was rounded to the nearest codes.
        biases: the values of biases that go with it, by name.
        unreached: whether it is in a branch that no sample takes.
    """

    effort: Effort | None
    found: LayerReconstruction | None
    biases: Mapping[str, Float32Array]
    unreached: bool = False


def keep_layer(steps: Steps, name: str, layer: KeptLayer, rng: np.random.Generator) -> None:
    """Keep a layer, and the state of the generator behind it.

    Args:
        steps: of the reconstruction.
        name: of the layer's weight.
        layer: what was done with it.
        rng: draws the positions of the layers.
    """
    arrays: dict[str, Array] = {f"{_BIAS}{bias}": values for bias, values in layer.biases.items()}
    if layer.found is not None:
        arrays |= arrays_of(layer.found.quantized)
        arrays |= {part: getattr(layer.found, part) for part in _PARTS}
    effort = None
    if layer.effort is not None:  # JSON has no infinity, which is what is left out
        effort = {key: value for key, value in asdict(layer.effort).items() if value != math.inf}
    steps.save(
        name, arrays, effort=effort, closed_form=layer.found is not None,
        unreached=layer.unreached, random=state_of(rng),
    )  # fmt: skip


def kept_layer(steps: Steps, name: str, rng: np.random.Generator) -> KeptLayer | None:
    """A layer that is kept; the generator then has the state behind it. None if it is not there.

    The arguments are those of `keep_layer`.
    """
    kept = steps.load(name)
    if kept is None:
        return None
    arrays, facts, found = kept.arrays, kept.facts, None
    if facts["closed_form"]:
        parts: dict[str, Any] = {part: arrays[part] for part in _PARTS}
        found = LayerReconstruction(weight_of(arrays), **parts)
    set_state(rng, facts["random"])
    effort = facts["effort"]
    biases: dict[str, Any] = {
        key[len(_BIAS) :]: array for key, array in arrays.items() if key.startswith(_BIAS)
    }
    return KeptLayer(
        None if effort is None else Effort(**effort),
        found,
        biases,
        facts["unreached"],
    )


def kept_count(steps: Steps, count: Callable[[], int]) -> int:
    """The number of samples that a reconstruction began with, so that it goes on with as many.

    Args:
        steps: of the reconstruction.
        count: chooses it, where the reconstruction begins.
    """
    kept = steps.load(_SAMPLES)
    if kept is not None:
        return int(kept.facts["count"])
    found = count()
    steps.save(_SAMPLES, count=found)
    return found

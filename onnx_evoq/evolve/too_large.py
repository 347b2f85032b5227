"""Weights that are too large to evolve: candidates of them would not fit into memory.

A search holds the codes of its population and of as many children, and the floats of two candidates
that run. Weights for which this is more than the memory allows keep their codes, and are a part of
the model that the others evolve in.
"""

from dataclasses import replace

from onnx_evoq.evolve.settings import Evolved, SearchSettings
from onnx_evoq.model import Quantized, with_codes
from onnx_evoq.reconstruct import QuantizedModel

_FLOATS = 8  # bytes for each code, of two candidates
_LEAST = 2**30  # bytes that candidates may take in any case


def too_large(quantized: Quantized, settings: SearchSettings, memory: int) -> list[str]:
    """The weights that do not evolve, in the order of the model.

    Args:
        quantized: the codes of all weights.
        settings: how they evolve. If all evolve together, the largest are left out until the others
            fit.
        memory: bytes that may be used.
    """
    each = {
        name: weight.codes.size * (_FLOATS + 2 * settings.population)
        for name, weight in quantized.items()
    }
    memory = max(memory, _LEAST)
    left_out, taken = set[str](), sum(each.values())
    for name in sorted(each, key=lambda name: -each[name]):
        if (taken if settings.together else each[name]) > memory:
            left_out.add(name)
            taken -= each[name]
    return [name for name in quantized if name in left_out]


def without(start: QuantizedModel, names: list[str]) -> QuantizedModel:
    """The start in which the codes of some weights are a part of the model."""
    if not names:
        return start
    kept = {name: start.quantized[name] for name in names}
    rest = {name: weight for name, weight in start.quantized.items() if name not in kept}
    return replace(start, model=with_codes(start.model, kept), quantized=rest)


def with_others(evolved: Evolved, start: QuantizedModel, names: list[str]) -> Evolved:
    """What a search found, and the codes of the weights that it was made without."""
    if not names:
        return evolved
    return replace(
        evolved, quantized={**start.quantized, **evolved.quantized}, too_large=tuple(names)
    )

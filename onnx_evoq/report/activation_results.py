"""The grids of activations, as results."""

from dataclasses import dataclass
from math import log2

from onnx_evoq.activations import Activations


@dataclass(frozen=True)
class ActivationResult:
    """The grid of one activation.

    Attributes:
        tensor: its name in the float model.
        bits: the width of its codes.
        signed: whether there are negative codes.
        dtype: the type that holds its codes.
        zero_point: the code of the value 0 in that type.
        scale: the distance of two values.
        frac_bits: bits after the binary point, if the scale is ``2 ** -frac_bits``; else None.
        low: the lowest value that was seen in the float model.
        high: the highest.
        clipped: the share of the values that the codes do not reach.
    """

    tensor: str
    bits: int
    signed: bool
    dtype: str
    zero_point: int
    scale: float
    frac_bits: int | None
    low: float
    high: float
    clipped: float


def activation_results(activations: Activations | None) -> tuple[ActivationResult, ...]:
    """The grid of each activation; none if they stay floats."""
    if activations is None:
        return ()
    results = []
    for tensor in activations.tensors:
        grid, seen = activations.grids[tensor.scale], activations.seen[tensor.name]
        exponent = log2(grid.scale)
        results.append(
            ActivationResult(
                tensor=tensor.name,
                bits=grid.bits,
                signed=grid.signed,
                dtype=grid.dtype,
                zero_point=grid.zero_point,
                scale=grid.scale,
                frac_bits=-int(exponent) if exponent.is_integer() else None,
                low=float(seen.min()) if seen.size else 0.0,
                high=float(seen.max()) if seen.size else 0.0,
                clipped=grid.clipped(seen),
            )
        )
    return tuple(results)

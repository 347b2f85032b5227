"""The grids of activations, as results."""

from dataclasses import dataclass

from onnx_evoq.activations import Activations
from onnx_evoq.quantize import frac_bits_of


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
        frac_bits = frac_bits_of(grid.scale)
        results.append(
            ActivationResult(
                tensor=tensor.name,
                bits=grid.bits,
                signed=grid.signed,
                dtype=grid.dtype,
                zero_point=grid.zero_point,
                scale=grid.scale,
                frac_bits=None if frac_bits is None else int(frac_bits),
                low=float(seen.min()) if seen.size else 0.0,
                high=float(seen.max()) if seen.size else 0.0,
                clipped=grid.clipped(seen),
            )
        )
    return tuple(results)

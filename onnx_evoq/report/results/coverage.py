"""How much of a model is quantized in closed form, how much is rounded, and what stays float."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from onnx_evoq.model import Skipped, Weight

_LISTED = 3
_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}


@dataclass(frozen=True)
class Uncovered:
    """A tensor of floats that is not quantized in closed form.

    Attributes:
        name: the initializer's name.
        bytes: its bytes in the float model.
        kind: "nearest" if it is rounded to the nearest codes (a search may have moved them since);
            "float" if it stays as it is.
        reason: why.
    """

    name: str
    bytes: int
    kind: str
    reason: str


@dataclass(frozen=True)
class Coverage:
    """The bytes of a float model's initializers of floats, by what became of them.

    Attributes:
        closed_form: bytes of the weights that are quantized in closed form.
        nearest: bytes of those that are rounded to the nearest codes.
        float: bytes of all that stay floats.
        largest: the largest of the last two kinds, at most three.
    """

    closed_form: int
    nearest: int
    float: int
    largest: tuple[Uncovered, ...] = ()

    @property
    def total(self) -> int:
        """The bytes of all."""
        return self.closed_form + self.nearest + self.float

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON: shares of 1, and bytes."""
        kinds = {name: getattr(self, name) for name in ("closed_form", "nearest", "float")}
        return {
            **{name: count / max(1, self.total) for name, count in kinds.items()},
            "bytes": kinds,
            "largest": [asdict(each) for each in self.largest],
        }


def coverage_of(
    weights: Sequence[Weight],
    skipped: Sequence[Skipped],
    quantized: Collection[str],
    nearest: Mapping[str, str],
) -> Coverage:
    """Sort the floats of a model.

    Args:
        weights: the weights of the float model.
        skipped: its other initializers.
        quantized: the names of the weights that are quantized.
        nearest: those of them that are rounded to the nearest, with the reasons.

    Example:
        >>> coverage_of([], [Skipped("b", "float32", (4,), "a bias")], [], {}).float
        16
    """
    uncovered = [
        Uncovered(each.name, _size(each.dtype, each.shape), "float", each.reason)
        for each in skipped
        if each.dtype in _BYTES
    ]
    covered = 0
    for weight in weights:
        count = _size(weight.dtype, weight.shape)
        if weight.name not in quantized:
            uncovered.append(Uncovered(weight.name, count, "float", "kept as asked for"))
        elif weight.name in nearest:
            uncovered.append(Uncovered(weight.name, count, "nearest", nearest[weight.name]))
        else:
            covered += count
    of_kind = {
        kind: sum(each.bytes for each in uncovered if each.kind == kind)
        for kind in ("nearest", "float")
    }
    largest = sorted(uncovered, key=lambda each: -each.bytes)[:_LISTED]
    return Coverage(covered, of_kind["nearest"], of_kind["float"], tuple(largest))


def _size(dtype: str, shape: Sequence[int]) -> int:
    return prod(shape) * _BYTES[dtype]

"""Which weights are quantized, and on which grid each of them is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from onnx_evoq.errors import OptionError
from onnx_evoq.model import Weight
from onnx_evoq.quantize import Bits, FixedPoint, QuantizedWeight, Scale, fit, nearest
from onnx_evoq.setup.options import check_bits, check_choices

Granularity = Literal["tensor", "channel"]
Granularities = Granularity | Mapping[str, Granularity]  # of all weights, or by name


@dataclass(frozen=True)
class Grid:
    """The grid that weights are put on, and the weights that stay float.

    Attributes:
        granularity: one step per "tensor" or per output "channel"; for a search of widths also
            "any", which gives each layer the one that pays.
        scale: "pow2" for steps that are powers of two, "float" for any.
        keep: patterns of weights that stay float; each must match a weight or its node.

    Raises:
        OptionError: a choice is unknown.

    Example:
        >>> Grid(granularity="channel").scale
        'pow2'
    """

    granularity: Granularity | Literal["any"] = "tensor"
    scale: Scale = "pow2"
    keep: Iterable[str] = ()

    def __post_init__(self) -> None:
        check_choices(
            granularity=(self.granularity, ("tensor", "channel", "any")),
            scale=(self.scale, ("pow2", "float")),
        )

    def of_all(self) -> Granularity:
        """The granularity of all weights.

        Raises:
            OptionError: it is "any", which only a search of widths can choose.
        """
        if self.granularity == "any":
            raise OptionError(
                "granularity 'any' is for a search of widths: choose tensor or channel."
            )
        return self.granularity


DEFAULT_GRID = Grid()


def matches(weight: Weight, pattern: str) -> bool:
    """Whether a shell-style pattern matches the weight's name or that of a node that uses it."""
    names = (weight.name, *weight.nodes)
    return any(name == pattern or fnmatchcase(name, pattern) for name in names)


def leave_out(weights: Sequence[Weight], keep: Iterable[str]) -> list[Weight]:
    """The weights that no pattern of `keep` matches.

    Raises:
        OptionError: a pattern matches nothing, or all of them leave nothing over.
    """
    keep = list(keep)
    for pattern in keep:
        _must_match(weights, pattern, "keep")
    left = [weight for weight in weights if not any(matches(weight, p) for p in keep)]
    if not left:
        raise OptionError(
            f"keep {', '.join(map(repr, keep))} leaves no weight to quantize: keep fewer."
        )
    return left


def bits_of(weights: Sequence[Weight], bits: int, bits_for: Mapping[str, int]) -> dict[str, int]:
    """The width of each weight: that of the last pattern that matches it, else `bits`.

    Raises:
        OptionError: a pattern matches nothing, or a width is out of range.
    """
    widths = dict.fromkeys((weight.name for weight in weights), bits)
    for pattern, width in bits_for.items():
        check_bits(width)
        _must_match(weights, pattern, "bits-for")
        widths.update({weight.name: width for weight in weights if matches(weight, pattern)})
    return widths


def axis_of_steps(weight: Weight, granularity: Granularities) -> int | None:
    """The axis along which a weight has a step for each channel; None for one step."""
    own = granularity if isinstance(granularity, str) else granularity[weight.name]
    return weight.axis if own == "channel" else None


def grids_for(
    weights: Sequence[Weight], bits: Mapping[str, Bits], granularity: Granularities, scale: Scale
) -> dict[str, FixedPoint]:
    """The grid of each weight by its name; per channel along its axis, where it has one.

    Raises:
        ValueError: there are widths per channel for a weight with one step.
    """
    return {
        weight.name: fit(
            weight.values,
            bits[weight.name],
            axis_of_steps(weight, granularity),
            scale,
            weight.dtype,
        )
        for weight in weights
    }


def nearest_codes(
    weights: Sequence[Weight], grids: Mapping[str, FixedPoint]
) -> dict[str, QuantizedWeight]:
    """Each weight rounded to its grid."""
    return {
        weight.name: QuantizedWeight(nearest(weight.values, grids[weight.name]), grids[weight.name])
        for weight in weights
    }


def nearest_of(
    weights: Sequence[Weight], bits: Mapping[str, Bits], granularity: Granularities, scale: Scale
) -> dict[str, QuantizedWeight]:
    """Each weight rounded to the grid that covers its range."""
    return nearest_codes(weights, grids_for(weights, bits, granularity, scale))


def _must_match(weights: Sequence[Weight], pattern: str, option: str) -> None:
    if not any(matches(weight, pattern) for weight in weights):
        names = ", ".join(weight.name for weight in weights[:4])
        more = ", ..." if len(weights) > 4 else ""
        raise OptionError(
            f"{option} {pattern!r} matches no weight: the weights are {names}{more} "
            "(onnx-evoq inspect lists all)."
        )

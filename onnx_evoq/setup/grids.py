"""Which weights are quantized, at which width, and on which grid."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from onnx_evoq.errors import OptionError
from onnx_evoq.model import Weight
from onnx_evoq.quantize import Bits, GridSpec, QuantizedWeight, Scale, nearest
from onnx_evoq.setup.options import check_activations, check_bits, check_choices

Granularity = Literal["tensor", "channel"]
Granularities = Granularity | Mapping[str, Granularity]  # one for all weights, or one per name


@dataclass(frozen=True)
class Grid:
    """The grid that weights are quantized to, and the weights that stay float.

    Attributes:
        granularity: one step per "tensor" or per output "channel"; a search of widths also takes
            "any", and then chooses one of them for each layer.
        scale: "pow2" for steps that are powers of two, "float" for any.
        keep: patterns of weights that stay float; each must match a weight or its node.
        narrow_range: whether the lowest code of 8 bits, -128, is left out, as some runtimes need.
        activations: width in bits of the codes of activations, 2 to 16; None if they stay floats.
        activation_scale: as `scale`, for activations.

    Raises:
        OptionError: a choice is unknown.

    Example:
        >>> Grid(granularity="channel").scale
        'pow2'
    """

    granularity: Granularity | Literal["any"] = "tensor"
    scale: Scale = "pow2"
    keep: Sequence[str] = ()
    narrow_range: bool = False
    activations: int | None = None
    activation_scale: Scale = "pow2"

    def __post_init__(self) -> None:
        if isinstance(self.keep, str):
            raise OptionError(f"keep {self.keep!r} is one pattern: give a list of patterns.")
        check_choices(
            granularity=(self.granularity, ("tensor", "channel", "any")),
            scale=(self.scale, ("pow2", "float")),
            activation_scale=(self.activation_scale, ("pow2", "float")),
        )
        if self.activations is not None:
            check_activations(self.activations)
        elif self.activation_scale != "pow2":
            raise OptionError(
                f"activation_scale {self.activation_scale} is for quantized activations: give "
                "their bits as activations, too."
            )

    def of_all(self) -> Granularity:
        """The one granularity that all weights have.

        Raises:
            OptionError: it is "any", which only a search of widths takes.
        """
        if self.granularity == "any":
            raise OptionError(
                "granularity 'any' is for a search of widths: choose tensor or channel."
            )
        return self.granularity


DEFAULT_GRID = Grid()


def matches(weight: Weight, pattern: str) -> bool:
    """Whether a shell-style pattern matches the weight's name, or the name of a node that reads it.

    A pattern that equals a name matches it, even if it holds brackets.
    """
    names = (weight.name, *weight.nodes)
    return any(name == pattern or fnmatchcase(name, pattern) for name in names)


def leave_out(weights: Sequence[Weight], keep: Iterable[str]) -> list[Weight]:
    """The weights that no pattern of `keep` matches: those that are quantized.

    Raises:
        OptionError: a pattern matches no weight, or the patterns match all weights.
    """
    keep = list(keep)
    for pattern in keep:
        _must_match(weights, pattern, "keep")
    quantized = [weight for weight in weights if not any(matches(weight, p) for p in keep)]
    if not quantized:
        raise OptionError(
            f"keep {', '.join(map(repr, keep))} leaves no weight to quantize: keep fewer."
        )
    return quantized


def bits_of(weights: Sequence[Weight], bits: int, bits_for: Mapping[str, int]) -> dict[str, int]:
    """The width of each weight, by its name.

    Args:
        weights: the weights.
        bits: the width of the weights that no pattern matches.
        bits_for: widths by pattern; the last pattern that matches a weight counts.

    Raises:
        OptionError: a pattern matches no weight, or a width is out of range.
    """
    widths = dict.fromkeys((weight.name for weight in weights), bits)
    for pattern, width in bits_for.items():
        check_bits(width)
        _must_match(weights, pattern, "bits-for")
        widths.update({weight.name: width for weight in weights if matches(weight, pattern)})
    return widths


def axis_of_steps(weight: Weight, granularity: Granularities) -> int | None:
    """The axis along which a weight has one step per channel; None if it has one step."""
    own = granularity if isinstance(granularity, str) else granularity[weight.name]
    return weight.axis if own == "channel" else None


def nearest_of(
    weights: Sequence[Weight],
    bits: Mapping[str, Bits],
    granularity: Granularities,
    scale: Scale,
    *,
    narrow: bool = False,
) -> dict[str, QuantizedWeight]:
    """Round each weight to the nearest codes of the grid that covers its range.

    Args:
        weights: the float weights.
        bits: the width of each weight, or of each of its channels, by name.
        granularity: one step per tensor or per channel.
        scale: "pow2" for steps that are powers of two, "float" for any.
        narrow: whether the lowest code of 8 bits is left out.

    Returns:
        Codes and grid by the weight's name.

    Raises:
        ValueError: a weight with one step has a width per channel.
    """
    rounded = {}
    for weight in weights:
        axis = axis_of_steps(weight, granularity)
        grid = GridSpec(bits[weight.name], axis, scale, weight.dtype, narrow).fit(weight.values)
        rounded[weight.name] = QuantizedWeight(nearest(weight.values, grid), grid)
    return rounded


def _must_match(weights: Sequence[Weight], pattern: str, option: str) -> None:
    """Refuse a pattern that matches no weight."""
    if not any(matches(weight, pattern) for weight in weights):
        names = ", ".join(weight.name for weight in weights[:4])
        more = ", ..." if len(weights) > 4 else ""
        raise OptionError(
            f"{option} {pattern!r} matches no weight: the weights are {names}{more} "
            "(onnx-evoq inspect lists all)."
        )

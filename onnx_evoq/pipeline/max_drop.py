"""The narrowest widths that stay within an allowed drop."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from onnx_evoq.quantize import Bits
from onnx_evoq.reconstruct import QuantizedModel
from onnx_evoq.run import Deadline, Stopped, until_interrupted
from onnx_evoq.setup import MAX_BITS, MaxDropCheck

# From the width of each weight, and whether an interrupt came before (so that it must be quick), to
# a model, and whether an interrupt cut its search short.
Build = Callable[[Mapping[str, Bits], bool], tuple[QuantizedModel, bool]]


@dataclass(frozen=True)
class Narrowest:
    """The narrowest model that was found, and whether it keeps within max drop.

    Attributes:
        quantized_model: the model.
        bits: its widths by weight.
        left_out: the weights that stay at 8 bits.
        within_max_drop: whether it stays within the allowed drop; it may not do so even with all
            weights at 8 bits.
        stopped: why the search for narrower widths ended early; None if it did not.
    """

    quantized_model: QuantizedModel
    bits: dict[str, Bits]
    left_out: tuple[str, ...]
    within_max_drop: bool
    stopped: Stopped | None = None


def narrowest_within_drop(
    order: Sequence[str],
    bits: Mapping[str, Bits],
    build: Build,
    max_drop_check: MaxDropCheck,
    deadline: Deadline,
) -> Narrowest:
    """Find the model within the allowed drop that has the fewest weights at 8 bits.

    The most sensitive weights are those that stay at 8 bits. Bisection finds how many.

    Args:
        order: names of the weights, least sensitive first.
        bits: the width that each weight should have.
        build: quantizes the model to given widths; also says whether it was interrupted. After an
            interruption, also of a check, it is told so.
        max_drop_check: whether a model stays within the allowed drop.
        deadline: when to stop; the narrowest model found so far is returned.
    """

    def widths(wide: int) -> dict[str, Bits]:
        return {**bits, **dict.fromkeys(order[len(order) - wide :], MAX_BITS)}

    stopped: Stopped | None = None

    def attempt(wide: int) -> tuple[QuantizedModel, bool]:
        nonlocal stopped
        quantized_model, interrupted = build(widths(wide), stopped is Stopped.INTERRUPT)
        stopped = Stopped.INTERRUPT if interrupted else stopped
        allowed = False
        with until_interrupted() as interruption:  # what was not checked is not allowed
            allowed = max_drop_check(quantized_model.as_float)
        stopped = interruption.reason or stopped
        return quantized_model, allowed

    quantized_model, allowed = attempt(0)
    if allowed:
        return Narrowest(quantized_model, widths(0), (), True, stopped)
    quantized_model, allowed = attempt(len(order))
    too_few, enough = 0, len(order)
    with until_interrupted() as interruption:
        while allowed and not stopped and enough - too_few > 1:
            if deadline.passed:
                stopped = Stopped.TIME
                break
            middle = (too_few + enough) // 2
            candidate, holds = attempt(middle)
            if holds:
                quantized_model, enough = candidate, middle
            else:
                too_few = middle
    return Narrowest(
        quantized_model,
        widths(enough),
        tuple(order[len(order) - enough :]),
        allowed,
        interruption.reason or stopped,
    )

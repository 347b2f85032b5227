"""How many weights may be narrow: a reconstruction that stays within an allowed drop."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from onnx_evoq.quantize import Bits
from onnx_evoq.reconstruct import Reconstructed
from onnx_evoq.run import Deadline, Stopped, until_interrupted
from onnx_evoq.setup import MAX_BITS, MaxDropCheck


@dataclass(frozen=True)
class WithinMaxDrop:
    """A reconstruction that a guard allows.

    Attributes:
        found: the reconstruction.
        bits: its widths.
        left_out: the weights that stay at 8 bits.
        safe: whether the guard was content, which it may not be even with all of them at 8.
        stopped: why the search for fewer of them ended early; None if it did not.
    """

    found: Reconstructed
    bits: dict[str, Bits]
    left_out: tuple[str, ...]
    within_max_drop: bool
    stopped: Stopped | None = None


def narrowest_within_drop(
    order: Sequence[str],
    bits: Mapping[str, Bits],
    build: Callable[[Mapping[str, Bits]], Reconstructed],
    max_drop_check: MaxDropCheck,
    deadline: Deadline,
) -> WithinMaxDrop:
    """The reconstruction with the fewest weights at 8 bits that the guard allows.

    The most sensitive weights are those that stay at 8 bits; how many is found by bisection.

    Args:
        order: names of the weights, least sensitive first.
        bits: the width that each weight should have.
        build: reconstructs the model with such widths.
        guard: whether a model is good enough.
        deadline: when to stop; what was good enough by then is returned.
    """

    def widths(kept: int) -> dict[str, Bits]:
        return {**bits, **dict.fromkeys(order[len(order) - kept :], MAX_BITS)}

    def attempt(kept: int) -> tuple[Reconstructed, bool]:
        found = build(widths(kept))
        return found, max_drop_check(found.emitted)

    found, holds = attempt(0)
    if holds:
        return WithinMaxDrop(found, widths(0), (), True)
    found, holds = attempt(len(order))
    fails, enough, stopped = 0, len(order), None
    with until_interrupted() as interruption:
        while holds and enough - fails > 1:
            if deadline.passed:
                stopped = Stopped.TIME
                break
            middle = (fails + enough) // 2
            tried, good = attempt(middle)
            if good:
                found, enough = tried, middle
            else:
                fails = middle
    return WithinMaxDrop(
        found,
        widths(enough),
        tuple(order[len(order) - enough :]),
        holds,
        interruption.reason or stopped,
    )

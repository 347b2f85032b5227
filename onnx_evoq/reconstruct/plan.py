"""Plan the work on each layer, so that all of them are reconstructed within the time.

The seconds that a layer takes are predicted from the shape of its matrix and from the effort
(`quantize.Effort`), as on a core of a usual machine. How much slower this machine is, with all that
it does besides, is measured at the layers that are done. Each layer then gets the most effort at
which it and all layers behind it end in time. Where even the least effort takes too long, a layer
that would take more than twice its equal share of the time is rounded to the nearest codes. As that
may spoil the network, the least effort may take a little longer.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from onnx_evoq.engine import positions_for
from onnx_evoq.quantize import EFFORTS, MOST_PRODUCTS_FOR_RESTARTS, Effort
from onnx_evoq.run import Deadline

# Seconds on one core, fitted to the layers of an EfficientNet-Lite0.
_PER_LAYER = 0.05  # sessions and the like
_PER_PRODUCT = 3e-11  # of matrix products
_PER_VALUE = 5e-9  # of columns and targets that are moved
_PER_GROUP = 4e-4
_PER_CUBE = {True: 3e-10, False: 1e-10}  # of columns^3; whether dampings are compared
RUNS_PER_SAMPLE = 4.0  # of the float model, by taking a sample through both models
_RUN_PARTS = 2  # these runs may take one part in so many of the time
_FEWEST_SAMPLES = 16  # that are enough, if nothing but their number can save time
_FEWER = 0.8  # times as many samples are tried next
_EXPECTED = 3.0  # seconds of layers that count as if they had been measured as predicted
_MARGIN = 0.92  # of the time left, which the predictions must fit into
_GRACE = 0.05  # of the time, which the least effort may take besides: a rounded layer costs much
_NEARLY = 1.25  # times the time left that the least effort may seem to take: it may turn out less
_TIMES_DUE = 2.0  # of its equal share of the time that a layer may take where time is short


@dataclass(frozen=True)
class LayerSize:
    """What the work on a layer depends on.

    Attributes:
        groups: of its matrix.
        rows: of each group.
        columns: of each group.
        running: seconds for running the samples through the layer, in both models.
        available: positions that all samples have.
    """

    groups: int
    rows: int
    columns: int
    running: float = 0.0
    available: float = float("inf")

    def seconds(self, effort: Effort) -> float:
        """About how many seconds the reconstruction of the layer takes."""
        g, r, c = self.groups, self.rows, self.columns
        positions = min(self.available, positions_for(effort.positions, (g, r, c)))
        moved = g * positions * (c + effort.activation_rounds * r)
        products = g * positions * (c**2 / 2 + (1 + 2 * effort.activation_rounds) * r * c)
        unknowns = min(c, positions)  # of a linear system
        in_codes = g * r * c**2
        products += in_codes * (12 if effort.descends else 2)
        if effort.restarts and in_codes <= MOST_PRODUCTS_FOR_RESTARTS:
            products += 5 * effort.restarts * in_codes
        return (
            _PER_LAYER
            + _PER_VALUE * moved
            + _PER_PRODUCT * products
            + _PER_GROUP * g
            + _PER_CUBE[c <= effort.compared_columns] * g * unknowns**2 * c
            + self.running
        )


def samples_in_time(sizes: Callable[[int], Sequence[LayerSize]], most: int, seconds: float) -> int:
    """How many samples there is time for, so that all layers get the least effort.

    Example:
        >>> samples_in_time(lambda n: [LayerSize(1, 8, 9, running=0.125 * n)], 500, 50.0)
        200

    Args:
        sizes: of the layers, for a number of samples.
        most: samples.
        seconds: for all layers.
    """
    of_one = sum(size.running for size in sizes(1))
    if of_one > 0:
        most = int(min(most, max(1, seconds / (_RUN_PARTS * of_one))))
    while most > _FEWEST_SAMPLES:
        needed = sum(size.seconds(EFFORTS[-1]) for size in sizes(most))
        if needed <= _MARGIN * seconds:
            break
        most = max(_FEWEST_SAMPLES, int(_FEWER * most))
    return most


class Plan:
    """Chooses the effort for one layer after the other.

    Example:
        >>> plan = Plan([LayerSize(1, 8, 9), LayerSize(1, 8, 72)], Deadline(None))
        >>> plan.effort() == EFFORTS[0]
        True

    Args:
        sizes: of all layers, in their order.
        deadline: when the last one must be done.
        best: the most effort that any layer gets.
        clock: gives the time in seconds.
    """

    def __init__(
        self,
        sizes: Sequence[LayerSize],
        deadline: Deadline,
        best: Effort = EFFORTS[0],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sizes, self._deadline, self._clock = list(sizes), deadline, clock
        least = [replace(e, positions=min(e.positions, best.positions)) for e in EFFORTS[1:]]
        self._efforts = [best, *least]
        self._predicted = self._measured = _EXPECTED
        self._done = 0
        self._began = clock()
        self._latest = self._began + (1 + _GRACE) * deadline.left
        self._counts: Counter[Effort | None] = Counter()

    def effort(self) -> Effort | None:
        """The effort for the next layer, whose time begins now; None for nearest rounding."""
        self._began = self._clock()
        if self._deadline.ended:
            return None
        rest, left = self._sizes[self._done :], self._deadline.left
        for effort in self._efforts:
            if sum(size.seconds(effort) for size in rest) * self._slowness <= _MARGIN * left:
                return effort
        least = self._efforts[-1]
        left = self._latest - self._began
        if sum(size.seconds(least) for size in rest) * self._slowness <= _NEARLY * left:
            return least
        own = rest[0].seconds(least) * self._slowness
        return least if own <= _TIMES_DUE * left / len(rest) else None

    @property
    def _slowness(self) -> float:
        return self._measured / self._predicted

    def done(self, effort: Effort | None, *, layers: int = 1, learns: bool = True) -> None:
        """Take in that the next layer, or several of them together, are done.

        Args:
            effort: the one that they took, as `effort` gave it; None for nearest rounding.
            layers: how many.
            learns: whether their time says something about those of the others.
        """
        some = self._sizes[self._done : self._done + layers]
        if effort is not None and learns:
            self._measured += self._clock() - self._began
            self._predicted += sum(size.seconds(effort) for size in some)
        self._counts[effort] += layers
        self._done += layers

    @property
    def cut(self) -> str:
        """A sentence about what was left out to save time; empty if nothing was."""
        _, short, feedback = self._efforts
        said = {
            short: "have a shorter reconstruction",
            feedback: "have rounding with feedback only",
            None: "are rounded to the nearest codes",
        }
        parts = [f"{self._counts[e]} {text}" for e, text in said.items() if self._counts[e]]
        if not parts:
            return ""
        return f"to save time, of {self._done} layers {' and '.join(parts)}."

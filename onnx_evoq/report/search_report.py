"""The result of a search for widths, as a value and as a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onnx_evoq.errors import BudgetError
from onnx_evoq.mixed_precision import ParetoPoint
from onnx_evoq.report.results import Result, json_values
from onnx_evoq.report.texts import (
    counted,
    metric_label,
    number,
    size,
    table,
    width_range,
)
from onnx_evoq.run import History, Stopped
from onnx_evoq.setup import check_whole, within
from onnx_evoq.shortened import shortened

_METRIC_COLUMNS = 16  # of a line, for the name of the metric


@dataclass(frozen=True)
class Search:
    """The Pareto front between size and output error.

    Attributes:
        source: the path of the model.
        metric: the name of the metric that measures the error.
        size: which bytes count: "packed" for codes at their own widths, "file" for codes as an
            ONNX file stores them.
        seed: the seed of all random draws.
        front: the points of the Pareto front on the search set, smallest first.
        uniform: for comparison, one point for each width that all layers have, smallest first.
        greedy: for comparison, points with widths by sensitivity alone, smallest first.
        hypervolume: the hypervolume of "front", "uniform" and "greedy" on the held-out samples:
            the share that they dominate of the box from the best size and error of all points to
            the worst of the uniform widths, both as logarithms.
        evaluations: individuals that were scored.
        seconds: the time that the whole call took.
        stopped: "time" or "interrupt" if the search ended early, else None.
        notes: sentences that a user should read.
        scored_at: the tensors at which models were compared.
        history: how the best value changed, stage by stage.
        details: versions and hashes, as plain values; None where they were not asked for.
    """

    source: str
    metric: str
    size: str
    seed: int
    front: tuple[ParetoPoint, ...]
    uniform: tuple[ParetoPoint, ...]
    greedy: tuple[ParetoPoint, ...]
    hypervolume: Mapping[str, float]
    evaluations: int
    seconds: float
    stopped: Stopped | None
    notes: tuple[str, ...]
    scored_at: tuple[str, ...] = ()
    history: History = History()  # noqa: RUF009 - it does not change
    details: Mapping[str, Any] | None = None

    def bytes_of(self, point: ParetoPoint) -> int:
        """The size of a point in bytes, of the kind that counts."""
        return point.bytes(self.size == "file")

    def pick(self, budget: int | None = None, max_drop: float | None = None) -> ParetoPoint:
        """Choose a point of the front.

        With a budget alone, it is the largest point that fits, which has the lowest error. With a
        drop, it is the smallest point that loses no more, and that fits the budget, if there is
        one. Without both, it is the point with the lowest error.

        Args:
            budget: bytes that the model may take, of the kind that counts.
            max_drop: percent that the model may lose on the held-out samples, as for `optimize`.

        Returns:
            The point; `optimize` takes it as its policy.

        Raises:
            BudgetError: no point fits; the message says what can be reached.
            OptionError: the budget is no whole number of bytes.

        Example:
            >>> point = search.pick(budget=120_000)  # doctest: +SKIP
            >>> onnx_evoq.optimize("model.onnx", policy=point)  # doctest: +SKIP
        """
        if budget is not None:
            check_whole(budget=budget)
        fitting = [p for p in self.front if budget is None or self.bytes_of(p) <= budget]
        if not fitting:
            least = self.bytes_of(self.front[0])
            raise BudgetError(
                f"{self.source}: the smallest {self.size} size that was reached is {least} bytes "
                f"({size(least)}), more than the budget of {budget} bytes: allow that much.",
                self,
            )
        if max_drop is None:
            return fitting[-1]
        allowed = [point for point in fitting if within(point.drop, max_drop)]
        if not allowed:
            best = min(fitting, key=lambda point: point.drop)
            raise BudgetError(
                f"{self.source}: no size{'' if budget is None else f' up to {size(budget)}'} drops "
                f"by {max_drop:g} percent or less: the least is {best.drop:.3g} percent, at "
                f"{size(self.bytes_of(best))}.",
                self,
            )
        return allowed[0]

    def check_budget(self, result: Result, budget: int | None) -> None:
        """Refuse an optimized model that is larger than the budget.

        To keep within an allowed drop, weights may stay at 8 bits, which makes the model larger
        than the point that was chosen.

        Args:
            result: the model that was optimized with a point of this search as its policy.
            budget: bytes that it may take; None for no limit.

        Raises:
            BudgetError: it takes more.
        """
        in_bytes = result.bytes_after if self.size == "file" else result.packed_bytes
        if budget is not None and in_bytes > budget:
            raise BudgetError(
                f"{self.source}: the optimized model takes {in_bytes} bytes ({self.size}), more "
                f"than the budget of {budget}: allow that much, or a larger drop.",
                self,
                result,
            )

    def to_dict(self) -> dict[str, Any]:
        """The search as plain values for JSON."""
        values: dict[str, Any] = {
            "model": self.source,
            "metric": self.metric,
            "scored_at": list(self.scored_at),
            "size": self.size,
            "seed": self.seed,
            "front": [point.to_dict() for point in self.front],
            "uniform": [point.to_dict() for point in self.uniform],
            "greedy": [point.to_dict() for point in self.greedy],
            "hypervolume": dict(self.hypervolume),
            "evaluations": self.evaluations,
            "seconds": round(self.seconds, 3),
            "stopped": self.stopped,
            "notes": list(self.notes),
            "history": self.history.to_list(),
        }
        if self.details is not None:
            values["details"] = self.details
        return json_values(values)


def search_text(search: Search) -> str:
    """The table of a search: all points by size, those of the Pareto front with a star."""
    points = {id(point): point for point in (*search.uniform, *search.greedy, *search.front)}
    front = {id(point) for point in search.front}
    uniform = {id(point) for point in search.uniform}
    greedy = {id(point) for point in search.greedy}
    rows = []
    for key, point in sorted(points.items(), key=lambda item: search.bytes_of(item[1])):
        kind = "uniform" if key in uniform else "greedy" if key in greedy else ""
        rows.append(
            [
                f"{'*' if key in front else ' '} {kind}".rstrip(),
                widths_of(point),
                f"{len(point.policy.expansion) or '-'}",
                f"{list(point.policy.granularity.values()).count('channel') or '-'}",
                size(point.packed_bytes),
                size(point.file_bytes),
                number(point.search),
                number(point.heldout),
                f"{point.drop:.2f}" if abs(point.drop) < 1000 else f"{point.drop:.1g}",
            ]
        )
    label = shortened(metric_label(search.metric), _METRIC_COLUMNS)
    header = ["", "bits", "split", "steps", "packed", "file", "search", "held-out", "drop %"]
    shares = ", ".join(f"{name} {value:.3f}" for name, value in search.hypervolume.items())
    return "\n".join(
        [
            table(header, rows, 2),
            "",
            "* no other is smaller and better on the samples that selected",
            "uniform: one width; greedy: by sensitivity alone; others: by the search",
            "split: layers with split channels; steps: layers with one for each channel",
            f"search: {label} on samples that selected; held-out, drop: on others",
            f"held-out hypervolume of this run: {shares}",
            f"{counted(search.evaluations, 'evaluation')} in {search.seconds:.1f} s",
        ]
    )


def widths_of(point: ParetoPoint) -> str:
    """The width of all weights of a point, or the narrowest and the widest: 4 or 2-6."""
    widths: list[int] = []
    for bits in point.policy.bits.values():
        widths += [bits] if isinstance(bits, int) else bits
    return width_range(tuple(widths))

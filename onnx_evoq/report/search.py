"""What a search among widths and expansions found, as a value, as text and as a picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from onnx_evoq.errors import BudgetError
from onnx_evoq.mixed_precision import ParetoPoint
from onnx_evoq.report.results import Result, json_values
from onnx_evoq.report.tables import counted, metric_label, number, shortened, size, table
from onnx_evoq.run import Stopped
from onnx_evoq.setup import within

if TYPE_CHECKING:
    pass

_LABEL = 16  # columns of a metric's name


@dataclass(frozen=True)
class Search:
    """The Pareto front between size and output error.

    Attributes:
        source: the model's file.
        metric: what was measured.
        size: "packed" or "file": which bytes count.
        seed: of all random draws.
        front: the points that none beats in both, the smallest first.
        uniform: one width for all layers.
        greedy: widths by sensitivity alone.
        hypervolume: of these three on the held-out samples: what share they dominate of the box
            from the best size and error of all to the worst of the uniform widths, in logarithms.
        evaluations: individuals that were scored.
        seconds: from the first line to the last.
        stopped: "time" or "interrupt" if the search ended early, else None.
        notes: sentences that a user should read.
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

    def bytes_of(self, point: ParetoPoint) -> int:
        """The bytes of a point that count."""
        return point.bytes(self.size == "file")

    def pick(self, budget: int | None = None, max_drop: float | None = None) -> ParetoPoint:
        """A point of the front.

        With a budget, the last one (they err less the larger they are) that fits; with a drop, the
        smallest that loses no more; with both, the smallest that does both.

        Args:
            budget: bytes, of the kind that counts.
            max_drop: percent that may be lost on the held-out samples.

        Raises:
            BudgetError: there is no such point.
        """
        fitting = [p for p in self.front if budget is None or self.bytes_of(p) <= budget]
        if not fitting:
            least = self.bytes_of(self.front[0])
            raise BudgetError(
                f"{self.source}: the smallest {self.size} size that was reached is {least} bytes "
                f"({size(least)}), more than the budget of {budget} bytes: allow that much."
            )
        if max_drop is None:
            return fitting[-1]
        good = [point for point in fitting if within(point.drop, max_drop)]
        if not good:
            best = min(fitting, key=lambda point: point.drop)
            raise BudgetError(
                f"{self.source}: no size{'' if budget is None else f' up to {size(budget)}'} drops "
                f"by {max_drop:g} percent or less: the least is {best.drop:.3g} percent, at "
                f"{size(self.bytes_of(best))}."
            )
        return good[0]

    def notes_on(self, result: Result, budget: int | None) -> tuple[str, ...]:
        """What a user should read of the model that a picked point became.

        A drop that is kept to may leave weights at 8 bits, so that a budget is passed.
        """
        taken = result.bytes_after if self.size == "file" else result.packed_bytes
        if budget is None or taken <= budget:
            return ()
        return (
            f"the model takes {taken} bytes ({self.size}), more than the budget of {budget}: allow "
            "a larger one, or a larger drop.",
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        values = {
            "model": self.source,
            "metric": self.metric,
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
        }
        return json_values(values)


def search_text(search: Search) -> str:
    """What `search` prints: all points by size, those of the front with a star."""
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
    label = shortened(metric_label(search.metric), _LABEL)
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
    """The width of all weights of a point, or the narrowest and the widest."""
    widths = [
        width
        for bits in point.policy.bits.values()
        for width in ((bits,) if isinstance(bits, int) else bits)
    ]
    low, high = min(widths), max(widths)
    return str(low) if low == high else f"{low}-{high}"

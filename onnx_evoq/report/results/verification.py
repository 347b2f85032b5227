"""Whether a model is what its record says, with `to_dict()` for JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from onnx_evoq.report.results.json_values import json_values


@dataclass(frozen=True)
class Verification:
    """What was found when a model was held against its record.

    Attributes:
        source: the path of the model.
        version: of the program that wrote it, as its record says.
        seed: of all random draws, as its record says.
        options: with which it was made, as its record says.
        weights: how many quantized weights it has.
        unchanged: whether its graph and its values are those that were written.
        off_grid: the names of the weights that are not on their grids.
        is_reference: whether the reference is the float model that it was made from; None without a
            reference.
        metric: the name of the metric of `value`; None without a reference, or if nothing runs the
            model.
        value: the metric of the model against the reference.
        recorded: the worse of the two values of the metric that were recorded; None if they are of
            other samples.
        agreement: share of the answers that are equal to the reference's.
        faults: a sentence on each thing that is not as recorded; none if all is.
        notes: sentences that a user should read.
    """

    source: str
    version: str
    seed: int
    options: Mapping[str, Any]
    weights: int
    unchanged: bool
    off_grid: tuple[str, ...] = ()
    is_reference: bool | None = None
    metric: str | None = None
    value: float | None = None
    recorded: float | None = None
    agreement: float | None = None
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all is as recorded."""
        return not self.faults

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values for JSON."""
        shown = asdict(self)
        return json_values({"model": shown.pop("source"), "ok": self.ok, **shown})

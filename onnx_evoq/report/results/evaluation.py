"""The score of a model, with `to_dict()` for JSON."""

from dataclasses import asdict, dataclass
from typing import Any

from onnx_evoq.report.results.json_values import json_values
from onnx_evoq.report.results.output_results import OutputResult


@dataclass(frozen=True)
class Evaluation:
    """The score of a model.

    Attributes:
        source: the path of the model.
        metric: the name of the metric.
        value: its value.
        samples: the number of samples.
        agreement: share of the answers that are equal to the reference's, 0 to 1; None without a
            reference.
        mse: mean squared error of the outputs against the reference's; None without a reference.
        kl: Kullback-Leibler divergence of the class probabilities from the reference's; None
            without a reference.
        notes: sentences that a user should read.
        scored_at: the tensors at which models were compared.
    """

    source: str
    metric: str
    value: float
    samples: int
    agreement: float | None
    mse: float | None
    kl: float | None
    notes: tuple[str, ...]
    outputs: tuple[OutputResult, ...] = ()
    scored_at: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The evaluation as plain values for JSON, without the values that are None."""
        shown = {key: value for key, value in asdict(self).items() if value is not None}
        shown["outputs"] = {output.name: output.to_dict() for output in self.outputs}
        if not self.outputs:
            del shown["outputs"]
        return json_values({"model": shown.pop("source"), **shown})

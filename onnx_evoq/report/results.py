"""What the public functions return: plain values, each with `to_dict()` for JSON."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from onnx_evoq.model import Model, Skipped, serialize
from onnx_evoq.output_file import write_file
from onnx_evoq.quantize import Bits
from onnx_evoq.run import Stopped
from onnx_evoq.setup import Score


def json_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with None for NaN and infinity, which JSON has no words for."""

    def told(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: told(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [told(inner) for inner in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {key: told(value) for key, value in values.items()}


@dataclass(frozen=True)
class LayerResult:
    """What became of one weight.

    Attributes:
        name: the initializer's name.
        bits: the width of its codes, one per channel where they differ.
        frac_bits: bits behind the binary point, a list per channel, None for a float step.
        sensitivity: the metric with this weight alone on its grid.
        before: the metric before its search, {"search": .., "heldout": ..}; None if not searched.
        after: the same after it.
    """

    name: str
    bits: Bits
    frac_bits: int | list[int] | None
    sensitivity: float | None
    before: dict[str, float] | None
    after: dict[str, float] | None


@dataclass(frozen=True)
class Result:
    """A quantized model and how it was made; `save` writes it.

    Attributes:
        model: the emitted model (an `onnx.ModelProto`).
        source: the file that it was made from.
        bits: the width that was asked for; None for a policy.
        granularity: "tensor" or "channel"; "mixed" if a policy has both.
        scale: "pow2" or "float".
        seed: of all random draws.
        metric: what steered.
        scores: of the reference, nearest, start and evolved models, the last of them measured on
            the emitted model, loaded afresh with `session_options`.
        layers: one entry per weight, the least sensitive first where weights were ranked, else in
            the graph's order.
        bytes_before: of the file that came in.
        bytes_after: of the emitted one.
        packed_bytes: of its numbers if codes took no more than their own bits: those bits, a byte
            per step (4 if it is no power of two), and all that stays as it was.
        evaluations: candidates that were scored.
        seconds: from the first line to the last.
        stopped: "time" or "interrupt" if the search ended early, else None.
        notes: sentences that a user should read.
        session_options: ONNX Runtime's settings behind the scores.
    """

    model: Model
    source: str
    bits: int | None
    granularity: str
    scale: str
    seed: int
    metric: str
    scores: dict[str, Score]
    layers: tuple[LayerResult, ...]
    bytes_before: int
    bytes_after: int
    packed_bytes: int
    evaluations: int
    seconds: float
    stopped: Stopped | None
    notes: tuple[str, ...]
    session_options: dict[str, str]

    def save(self, path: str | Path) -> None:
        """Write the model to `path`, whole or not at all.

        A pipe or a character device is written to and stays what it is. "-" is a file's name.

        Raises:
            OutputError: it cannot be written.
        """
        write_file(path, serialize(self.model))

    def to_dict(self, output: str | Path | None = None) -> dict[str, Any]:
        """As JSON takes it.

        Args:
            output: where the model was written.
        """
        values = {
            "model": self.source,
            "output": None if output is None else str(output),
            "bits": self.bits,
            "granularity": self.granularity,
            "scale": self.scale,
            "seed": self.seed,
            "weights": len(self.layers),
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
            "packed_bytes": self.packed_bytes,
            "metric": self.metric,
            "scores": {name: score.to_dict() for name, score in self.scores.items()},
            "layers": [asdict(layer) for layer in self.layers],
            "evaluations": self.evaluations,
            "seconds": round(self.seconds, 3),
            "stopped": self.stopped,
            "notes": list(self.notes),
            "session_options": self.session_options,
        }
        return json_values(values)


@dataclass(frozen=True)
class SensitivityRow:
    """One weight of a ranking.

    Attributes:
        name: the initializer's name.
        op_type: the operator that uses it.
        shape: its shape.
        bits: the width of its codes.
        score: the metric with this weight alone on its grid.
    """

    name: str
    op_type: str
    shape: tuple[int, ...]
    bits: int
    score: float


@dataclass(frozen=True)
class Sensitivity:
    """Weights from the least to the most sensitive.

    Attributes:
        source: the model's file.
        metric: what was scored.
        samples: how many samples scored.
        reference: the metric of the float model.
        rows: the ranking.
        notes: sentences that a user should read.
    """

    source: str
    metric: str
    samples: int
    reference: float
    rows: tuple[SensitivityRow, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        shown = asdict(self)
        return json_values({"model": shown.pop("source"), **shown})


@dataclass(frozen=True)
class Evaluation:
    """A model's score.

    Attributes:
        source: the model's file.
        metric: what was measured.
        value: how much.
        samples: on how many samples.
        agreement: share of answers that are the reference's; None without a reference.
        mse: mean squared error of the outputs against the reference's; None likewise.
        kl: divergence of the class probabilities from the reference's; None likewise.
        notes: sentences that a user should read.
    """

    source: str
    metric: str
    value: float
    samples: int
    agreement: float | None
    mse: float | None
    kl: float | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it, without what there is no reference for."""
        shown = {key: value for key, value in asdict(self).items() if value is not None}
        return json_values({"model": shown.pop("source"), **shown})


@dataclass(frozen=True)
class WeightInfo:
    """A weight as `inspect` sees it.

    Attributes:
        name: the initializer's name.
        op_type: the operator that uses it.
        nodes: the nodes that use it.
        shape: its shape.
        dtype: what the model stores.
        axis: its output-channel axis, None where it has none.
        low: its smallest value.
        high: its largest value.
        int_bits: bits before the binary point that its range needs.
        bytes: packed bytes of its codes by width, 2 to 8 bits.
        no_expansion: why its output channels cannot be split, None where they can.
    """

    name: str
    op_type: str
    nodes: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    axis: int | None
    low: float
    high: float
    int_bits: int
    bytes: dict[int, int]
    no_expansion: str | None


@dataclass(frozen=True)
class Inspection:
    """A model's weights and the rest of its initializers.

    Attributes:
        source: the model's file.
        bytes: of the file.
        folded: BatchNormalization nodes that are folded before quantization.
        weights: what is quantized.
        skipped: what is not.
    """

    source: str
    bytes: int
    folded: tuple[str, ...]
    weights: tuple[WeightInfo, ...]
    skipped: tuple[Skipped, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        shown = asdict(self)
        return json_values({"model": shown.pop("source"), **shown})

"""The values that the public functions return, each with `to_dict()` for JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from onnx_evoq.model import Model, Skipped, save
from onnx_evoq.quantize import Bits
from onnx_evoq.report.results.activation_results import ActivationResult
from onnx_evoq.report.results.coverage import Coverage
from onnx_evoq.report.results.json_values import json_values
from onnx_evoq.report.results.output_results import OutputResult
from onnx_evoq.run import History, Stopped
from onnx_evoq.setup import Score
from onnx_evoq.targets import ONNXRUNTIME


@dataclass(frozen=True)
class LayerResult:
    """The result for one weight.

    Attributes:
        name: the initializer's name.
        bits: the width of its codes in bits; a tuple per channel where they differ.
        frac_bits: bits after the binary point: the step is ``2 ** -frac_bits``. A list per channel
            for a step per channel; None for steps that are not powers of two.
        sensitivity: the metric of the model when this weight alone is quantized; NaN if weights
            were not ranked.
        before: the metric before the search of this weight, {"search": value, "heldout": value};
            None if it was not searched.
        after: the same after the search.
    """

    name: str
    bits: Bits
    frac_bits: int | list[int] | None
    sensitivity: float | None
    before: dict[str, float] | None
    after: dict[str, float] | None


@dataclass(frozen=True)
class Result:
    """A quantized model, its scores, and how it was made; `save` writes it.

    Attributes:
        model: the emitted model (an `onnx.ModelProto`).
        source: the path of the float model.
        bits: the width that was asked for, in bits; None for a policy.
        granularity: "tensor" or "channel"; "mixed" if a policy has both.
        scale: "pow2" for steps that are powers of two, "float" for any.
        seed: the seed of all random draws.
        metric: the name of the metric that the search minimised or maximised.
        scores: the scores of four models: "reference" is the float model, "nearest" is nearest
            rounding, "start" is the reconstruction where the search for codes started, on formats
            that evolved, and "evolved" is the emitted model, loaded afresh with `session_options`.
        layers: one entry per weight, least sensitive first if weights were ranked, otherwise in
            the graph's order.
        bytes_before: bytes of the float model's file.
        bytes_after: bytes of the emitted model's file.
        packed_bytes: bytes of the model if each code took only its own bits: these bits, one byte
            per step (4 if it is no power of two), and all initializers that stay float.
        evaluations: candidates that were scored.
        seconds: the time that the whole call took.
        stopped: "time" or "interrupt" if the search ended early, else None.
        notes: sentences that a user should read.
        session_options: the options of ONNX Runtime with which the scores were measured.
        target: the runtime that the model is for, by its name in `optimize`.
        activations: one entry per activation in the graph's order; none if they stay floats.
        integer_ops: how many nodes of each operator work on integers.
        float_ops: how many work on floats.
        outputs: the errors of each output of floats on the held-out samples, by channel where these
            are unlike.
        scored_at: the tensors at which models were compared: the outputs, or tensors before those
            that cannot be compared.
        coverage: how much of the float model is quantized in closed form, how much by rounding, and
            how much not at all.
        details: what a report shows besides, as plain values; None where it was not asked for.
        data_files: the data files of the float model; if there are any, `save` writes one, too.
        history: how the best value changed, stage by stage.
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
    target: str = ONNXRUNTIME.name
    activations: tuple[ActivationResult, ...] = ()
    integer_ops: Mapping[str, int] = field(default_factory=dict)
    float_ops: Mapping[str, int] = field(default_factory=dict)
    scored_at: tuple[str, ...] = ()
    data_files: tuple[Path, ...] = ()
    coverage: Coverage = Coverage(0, 0, 0)  # noqa: RUF009 - it does not change
    outputs: tuple[OutputResult, ...] = ()
    history: History = History()  # noqa: RUF009 - it does not change
    details: Mapping[str, Any] | None = None

    def save(self, path: str | Path, *, external_data: bool | None = None) -> None:
        """Write the model to a file: either all of it, or nothing.

        A pipe or a character device is written to, and not replaced. "-" is the name of a file.

        Args:
            path: the file to write.
            external_data: whether large values are written to a second file, of the same name with
                ".data" at the end; None for where the float model has one, or 2 GB are passed.

        Raises:
            OutputError: the file cannot be written.
        """
        beside = bool(self.data_files) if external_data is None else external_data
        save(self.model, path, beside=beside, keep=self.data_files)

    def to_dict(self, output: str | Path | None = None) -> dict[str, Any]:
        """All but the model as plain values for JSON.

        Args:
            output: the path that the model was written to; None if it was not.
        """
        values: dict[str, Any] = {
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
            "scored_at": list(self.scored_at),
            "scores": {name: score.to_dict() for name, score in self.scores.items()},
            "outputs": {output.name: output.to_dict() for output in self.outputs},
            "layers": [asdict(layer) for layer in self.layers],
            "evaluations": self.evaluations,
            "seconds": round(self.seconds, 3),
            "stopped": self.stopped,
            "notes": list(self.notes),
            "session_options": self.session_options,
            "target": self.target,
            "activations": [asdict(each) for each in self.activations],
            "coverage": self.coverage.to_dict(),
            "integer_ops": dict(self.integer_ops),
            "float_ops": dict(self.float_ops),
            "history": self.history.to_list(),
        }
        if self.details is not None:
            values["details"] = self.details
        return json_values(values)


ACTIVATION = "activation"  # in place of the operator of a weight


@dataclass(frozen=True)
class SensitivityRow:
    """One weight of a ranking, or one activation.

    Attributes:
        name: the name of the initializer, or of the activation.
        op_type: the operator that uses a weight; "activation" for an activation.
        shape: the shape of a weight; empty for an activation.
        bits: the width at which it was tried, in bits.
        score: the metric of the model when it alone is quantized.
    """

    name: str
    op_type: str
    shape: tuple[int, ...]
    bits: int
    score: float


@dataclass(frozen=True)
class Sensitivity:
    """The weights of a model, and its activations if these are quantized, by sensitivity.

    Attributes:
        source: the path of the model.
        metric: the name of the metric.
        samples: the number of samples.
        reference: the metric of the float model.
        rows: the weights and activations, least sensitive first.
        notes: sentences that a user should read.
        scored_at: the tensors at which models were compared.
    """

    source: str
    metric: str
    samples: int
    reference: float
    rows: tuple[SensitivityRow, ...]
    notes: tuple[str, ...]
    scored_at: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The ranking as plain values for JSON."""
        shown = asdict(self)
        return json_values({"model": shown.pop("source"), **shown})


@dataclass(frozen=True)
class WeightInfo:
    """A weight that can be quantized.

    Attributes:
        name: the initializer's name.
        op_type: the operator that uses it.
        nodes: the names of the nodes that use it.
        shape: its shape.
        dtype: the type that the model stores, "float32" or "float16".
        axis: its axis of output channels; None if it has none.
        low: its smallest value.
        high: its largest value.
        int_bits: bits before the binary point that its range needs.
        bytes: bytes of its codes, packed, by width: 2 to 8 bits.
        no_expansion: why its output channels cannot be split; None if they can.
        closed_form: whether it can be quantized in closed form; else it starts from nearest
            rounding.
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
    closed_form: bool = True


@dataclass(frozen=True)
class Inspection:
    """The weights of a model, and its other initializers.

    Attributes:
        source: the path of the model.
        bytes: bytes of its file.
        folded: names of the BatchNormalization nodes that are folded before quantization.
        weights: the weights that can be quantized.
        skipped: the other initializers, each with the reason.
    """

    source: str
    bytes: int
    folded: tuple[str, ...]
    weights: tuple[WeightInfo, ...]
    skipped: tuple[Skipped, ...]

    def to_dict(self) -> dict[str, Any]:
        """The inspection as plain values for JSON."""
        shown = asdict(self)
        return json_values({"model": shown.pop("source"), **shown})

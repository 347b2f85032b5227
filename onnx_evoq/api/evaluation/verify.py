"""Verify that a model is what its record says."""

import math

from onnx_evoq.api.evaluation.evaluate import evaluate
from onnx_evoq.api.job import DataSource, ModelSource
from onnx_evoq.data import NO_DATA, as_data
from onnx_evoq.errors import OptionError
from onnx_evoq.metrics import METRIC_NAMES, find_metric
from onnx_evoq.model import as_written, content_hash, name_of
from onnx_evoq.parallel import one_blas_thread
from onnx_evoq.pipeline import Record, changed, off_their_grids, record_of
from onnx_evoq.progress import Progress, silent
from onnx_evoq.report import Evaluation, Verification
from onnx_evoq.setup import DEFAULT_RESOURCES, Resources, check_kinds, check_seed

_TINY = 1e-6  # of an error, by which runtimes and machines differ in any case
_ANSWERS = 0.02  # share of the answers, likewise


@one_blas_thread
def verify(
    model: ModelSource,
    reference: ModelSource | None = None,
    data: DataSource = None,
    *,
    tolerance: float = 0.5,
    seed: int = 0,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
) -> Verification:
    """Check that a model that this program wrote is what its record says.

    A model holds the hashes of its graph with its values and of the float model, its options, and
    the grid of each weight. The hash is computed again, and each weight must be on its grid: a
    whole number of steps, within its width. Nothing is signed: it finds what was changed by
    mistake, and not what was forged.

    Args:
        model: the path of an ONNX file that this program wrote, or such an `onnx.ModelProto`.
        reference: the float model; it must be the one that the model was made from, and the error
            of the model's outputs against it must be about the recorded one. None to leave that
            out. A model that was changed is not run.
        data: samples for this comparison, as for `optimize`. Errors are held against the recorded
            ones if the model was made with data, too, or without data and none are given here.
        tolerance: the share by which the error may be larger than the recorded one.
        seed: seed of synthetic inputs, 0 or more.
        resources: what may be used of the machine; it does not change the result.
        progress: shows the progress; `onnx_evoq.bars` writes it to stderr.

    Returns:
        What was checked, and a sentence on each fault.

    Raises:
        ModelError: a model cannot be read or run, or holds no record.
        DataError: the data cannot be read, or do not fit the model.
        OptionError: an option has a value that makes no sense.

    Example:
        >>> import onnx_evoq
        >>> onnx_evoq.verify("model.w6.onnx", "model.onnx").faults  # doctest: +SKIP
        ()
    """
    check_kinds(resources=(resources, Resources))
    check_seed(seed)
    check_tolerance(tolerance)
    written, name = as_written(model), name_of(model)
    record = record_of(written, name)
    faults, unchanged = list[str](), not changed(written, record)
    if not unchanged:
        faults.append(f"{name}: its graph or its values were changed after it was written.")
    off_grid = off_their_grids(written, record)
    faults += off_grid.values()

    is_reference: bool | None = None
    notes, evaluation, recorded = list[str](), None, None
    if reference is not None:
        is_reference = content_hash(reference) == record.source
        if not is_reference:
            faults.append(
                f"{name_of(reference)}: is not the float model that {name} was made from."
            )
        elif not unchanged:
            notes.append("outputs were not compared, since the file was changed.")
        elif record.options.get("format") == "qonnx":
            notes.append("ONNX Runtime cannot run QONNX: outputs were not compared.")
        else:
            has_data = as_data(data).source is not None
            metric, note = _metric(record, has_data)
            notes += [note] if note else []
            evaluation = evaluate(
                model, data, metric=metric or "auto", reference=reference,
                score_at=record.scored_at, seed=seed, resources=resources, progress=progress,
            )  # fmt: skip
            if metric is not None:
                recorded = _worse(record, metric)
                faults += _fault(evaluation, recorded, tolerance, name)
            # What synthetic inputs say of a quantized model is no matter here.
            notes += [each for each in evaluation.notes if not each.startswith(NO_DATA)]
    return Verification(
        source=name,
        version=record.version,
        seed=record.seed,
        options={"bits": _bits(record), **record.options},
        weights=len(record.weights),
        unchanged=unchanged,
        off_grid=tuple(off_grid),
        is_reference=is_reference,
        metric=None if evaluation is None else evaluation.metric,
        value=None if evaluation is None else evaluation.value,
        recorded=recorded,
        agreement=None if evaluation is None else evaluation.agreement,
        faults=tuple(faults),
        notes=tuple(notes),
    )


def _bits(record: Record) -> int | str:
    """The width of all weights, or the narrowest and the widest: 4 or 2-6."""
    widths = set[int]()
    for weight in record.weights.values():
        widths |= {weight.bits} if isinstance(weight.bits, int) else set(weight.bits)
    if len(widths) == 1:
        return widths.pop()
    return f"{min(widths)}-{max(widths)}" if widths else "none"


def check_tolerance(tolerance: float) -> None:
    """Raise an OptionError unless the tolerance is a number, 0 or more."""
    if not isinstance(tolerance, int | float) or not 0 <= tolerance < math.inf:
        raise OptionError(f"tolerance {tolerance} is no share of an error: give 0 or more.")


def _metric(record: Record, has_data: bool) -> tuple[str | None, str]:
    """The recorded metric if its value can be held against the recorded one; else why not."""
    metric = str(record.scores.get("metric"))
    if record.options.get("data") != has_data:
        here, there = "given data", "synthetic inputs"
        if not has_data:
            here, there = there, "given data: with --data, the error is held against it"
        return None, f"the outputs were compared on {here}, and the recorded error is of {there}."
    if metric not in METRIC_NAMES:
        return None, "the recorded metric is a function of the user: it was not computed again."
    return metric, ""


def _worse(record: Record, metric: str) -> float | None:
    """The worse of the recorded values of the model; None if none was recorded."""
    values = [float(record.scores["evolved"][part]) for part in ("search", "heldout")]
    known = [value for value in values if not math.isnan(value)]
    return max(known, key=find_metric(metric).fitness, default=None)


def _fault(
    evaluation: Evaluation, recorded: float | None, tolerance: float, name: str
) -> list[str]:
    """A sentence if a model is worse than was recorded, by more than is tolerated."""
    if recorded is None:
        return []
    if not find_metric(evaluation.metric).higher_is_better:
        held = evaluation.value <= (1 + tolerance) * recorded + _TINY
    elif evaluation.metric == "sqnr":  # decibels
        held = evaluation.value >= recorded - 10 * math.log10(1 + tolerance) - _TINY
    else:  # shares of what is right
        held = evaluation.value >= recorded - max(_ANSWERS, tolerance * (1 - recorded))
    if held:
        return []
    found = f"{evaluation.metric} is {evaluation.value:.4g}"
    return [f"{name}: its {found}, and {recorded:.4g} was recorded."]

"""Put a model's weights on a grid, and search for the points that keep its answers."""

import time
from collections.abc import Mapping

import numpy as np

from onnx_evoq.api.job import DataSource, ModelSource, PolicySource, judged_by
from onnx_evoq.engine import rank_by_sensitivity
from onnx_evoq.errors import OptionError
from onnx_evoq.metrics import MetricName
from onnx_evoq.mixed_precision import ParetoPoint
from onnx_evoq.model import Model, name_of, packed_bytes, serialize, size_in_bytes, with_codes
from onnx_evoq.pipeline import (
    DEFAULT_STRATEGY,
    Form,
    Strategy,
    StrategyName,
    emit,
    fine_tune,
    metadata_of,
)
from onnx_evoq.progress import Progress, silent
from onnx_evoq.quantize import Bits
from onnx_evoq.report import Result, layer_results, notes_on
from onnx_evoq.run import Deadline
from onnx_evoq.score import SESSION_OPTIONS
from onnx_evoq.setup import (
    DEFAULT_GRID,
    DEFAULT_RESOURCES,
    Granularities,
    Grid,
    Policy,
    Resources,
    Score,
    Task,
    apply_policy,
    bits_of,
    check_bits,
    check_choices,
    check_limits,
    check_seed,
    max_drop_check,
    nearest_of,
    open_float_model,
    policy_from,
    score_of,
)


def optimize(
    model: ModelSource,
    data: DataSource = None,
    *,
    bits: int | None = None,
    bits_for: Mapping[str, int] | None = None,
    policy: PolicySource | None = None,
    grid: Grid = DEFAULT_GRID,
    metric: MetricName = "auto",
    strategy: Strategy | StrategyName = DEFAULT_STRATEGY,
    time_budget: float | None = 240.0,
    max_drop: float | None = None,
    holdout: float = 0.25,
    format: Form = "qdq",
    seed: int = 0,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
) -> Result:
    """Put a model's weights on a fixed-point grid and search for the points that keep its answers.

    Args:
        model: an ONNX file, or a model in memory; float32 or float16 weights.
        data: samples that look like what the model will see, labels optional: a path, an array
            (samples, ...), a mapping of them, an iterable of feeds, or `Data` to say how to
            preprocess. None draws synthetic inputs.
        bits: width of the codes, 2 to 8.
        bits_for: widths by pattern, for weights that need another one.
        policy: instead of `bits`, for each weight its width, its granularity, and the share of its
            channels that is split: a point that `search_bits` found, a `Policy`, a mapping as
            `Policy.to_dict` gives it, or a JSON file that holds one.
        grid: the steps of the grid, and the weights that stay float.
        metric: what steers: "auto" (the output error), the name of a metric, or a function.
        strategy: how codes are searched: "neuroevolution", "coevolution", "none" for the start
            alone, or a `Strategy` to say more.
        time_budget: seconds after which ranking and search stop; None for no limit.
        max_drop: percent that may be lost on the held-out samples: points of top-1 with labels,
            else the share of answers that change; the share of the outputs' power that is error,
            where outputs are no class scores; or percent of the value of a user's metric. As many
            of the most sensitive weights as that takes stay at 8 bits.
        holdout: share of the samples that accepts instead of selecting, in (0, 1).
        format: "qdq" for integer weights with DequantizeLinear, "float" for ``step * codes``.
        seed: of all random draws.
        resources: what may be used of the machine; the result is the same.
        progress: shows how far it is; `onnx_evoq.bars` draws tqdm bars.

    Returns:
        The emitted model, its scores and how it was made.

    Raises:
        EvoqError: the model, the data, the metric or an option cannot be used; the message says
            what to do.

    Example:
        >>> import onnx_evoq
        >>> result = onnx_evoq.optimize(  # doctest: +SKIP
        ...     "model.onnx", onnx_evoq.Data("calib.npz", divide=255), bits=6)
        >>> result.save("model.w6.onnx")  # doctest: +SKIP
    """
    began = time.monotonic()
    strategy = Strategy(strategy) if isinstance(strategy, str) else strategy
    check_choices(format=(format, ("qdq", "float")))
    chosen = _chosen(bits, policy, bits_for)
    usual = grid.of_all()
    check_seed(seed)
    check_limits(holdout=holdout, max_drop=max_drop, time_budget=time_budget)
    deadline = Deadline(time_budget)
    rng, search_rng = np.random.default_rng(seed).spawn(2)

    # 1. The float model, its weights, and the samples that judge.
    float_model = open_float_model(model, grid.keep)
    if isinstance(chosen, int):  # a pattern that matches nothing ends it here
        bits_of(float_model.weights, chosen, bits_for or {})
    job = judged_by(float_model, name_of(model), data, metric, holdout, rng, resources, progress)
    calibration = job.calibration

    # 2. What each weight gets.
    widths: Mapping[str, Bits]
    granularities: Granularities = usual
    if isinstance(chosen, Policy):
        job = job.with_float_model(apply_policy(job.float_model, chosen, calibration, resources))
        widths, granularities = chosen.bits, chosen.granularities(usual)
    else:
        widths = bits_of(job.float_model.weights, chosen, bits_for or {})
    float_model = job.float_model

    # 3. The order of the weights: least sensitive first. Most of the time is for the search.
    rounded = nearest_of(float_model.weights, widths, granularities, grid.scale)
    ranking = dict.fromkeys(rounded, float("nan"))
    paper = strategy.name == "neuroevolution" and strategy.init == "nearest"
    ranked = max_drop is not None or paper
    if ranked:
        ranking = rank_by_sensitivity(
            float_model.model, rounded, calibration.search, deadline.share(3), resources, progress
        )

    # 4. The start, and the search from there.
    check = None
    if max_drop is not None:
        check = max_drop_check(float_model.model, calibration, max_drop, resources)
    task = Task(
        float_model.model, float_model.weights, widths, granularities, grid.scale,
        calibration.search, calibration.heldout, deadline, check, resources, progress,
    )  # fmt: skip
    tuned = fine_tune(task, list(ranking), strategy, search_rng)
    evolved = tuned.evolved

    # 5. The scores of rounding at the widths that are emitted, of the start, and of the reference.
    def score(candidate: Model) -> Score:
        return score_of(candidate, calibration, resources, progress)

    emitted_widths = {name: weight.grid.bits for name, weight in evolved.quantized.items()}
    rounded = nearest_of(float_model.weights, emitted_widths, granularities, grid.scale)
    nearest_score = start_score = score(with_codes(float_model.model, rounded))
    if strategy.init == "reconstruct" or emitted_widths != widths:
        start_score = score(with_codes(tuned.start_model, tuned.start))
    evolved_score = score(with_codes(tuned.model, evolved.quantized))

    # 6. The emitted model, loaded afresh and scored: these are the numbers shown.
    metadata = metadata_of(
        evolved.quantized, seed, calibration.metric.name, nearest_score, evolved_score
    )
    emitted, emission_notes = emit(
        tuned.model, evolved.quantized, format, metadata, calibration.search.batches[0], resources
    )
    scores = {
        "reference": score(float_model.reference),
        "nearest": nearest_score,
        "start": start_score,
        "evolved": score(emitted),
    }
    return Result(
        model=emitted,
        source=job.source,
        bits=bits,
        granularity=_one_granularity(granularities),
        scale=grid.scale,
        seed=seed,
        metric=calibration.metric.name,
        scores=scores,
        layers=layer_results(evolved, ranking),
        bytes_before=size_in_bytes(model),
        bytes_after=len(serialize(emitted)),
        packed_bytes=packed_bytes(tuned.model, evolved.quantized),
        evaluations=evolved.evaluations,
        seconds=time.monotonic() - began,
        stopped=evolved.stopped,
        notes=(
            *job.notes,
            *tuned.notes,
            *notes_on(evolved, ranking, max_drop, ranked),
            *emission_notes,
        ),
        session_options=dict(SESSION_OPTIONS),
    )


def _one_granularity(granularities: Granularities) -> str:
    """The granularity of all weights, or "mixed"."""
    if isinstance(granularities, str):
        return granularities
    several = set(granularities.values())
    return several.pop() if len(several) == 1 else "mixed"


def _chosen(
    bits: int | None, policy: PolicySource | None, bits_for: Mapping[str, int] | None
) -> int | Policy:
    """The width of all weights, or a policy."""
    if policy is None:
        if bits is None:
            raise OptionError("neither bits nor a policy is given: choose bits from 2 to 8.")
        check_bits(bits)
        return bits
    if bits is not None or bits_for:
        raise OptionError("a policy says what bits each weight has: leave bits and bits_for out.")
    return policy_from(policy.policy if isinstance(policy, ParetoPoint) else policy)

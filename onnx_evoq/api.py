"""The public functions, one per job; each reads from top to bottom as the list of its steps."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from onnx_evoq.data import Data, Source, as_data
from onnx_evoq.engine import rank_by_sensitivity
from onnx_evoq.errors import MetricError, OptionError
from onnx_evoq.evolve import (
    FROM_NEAREST,
    FROM_RECONSTRUCTION,
    TOGETHER_FROM_NEAREST,
    TOGETHER_FROM_RECONSTRUCTION,
)
from onnx_evoq.metrics import Metric, MetricName, Target, find_metric
from onnx_evoq.mixed_precision import ParetoPoint, SearchSpaceOptions, hypervolumes, search_front
from onnx_evoq.model import (
    Model,
    check_finite,
    find_weights,
    fold_batch_norm,
    input_specs,
    load,
    name_of,
    packed_bytes,
    serialize,
    size_in_bytes,
    splittable_layers,
    with_codes,
)
from onnx_evoq.pipeline import Form, emit, from_nearest, from_reconstruction, metadata_of
from onnx_evoq.progress import Progress, silent
from onnx_evoq.quantize import Bits, Scale
from onnx_evoq.report import (
    Evaluation,
    Inspection,
    Result,
    Search,
    Sensitivity,
    SensitivityRow,
    layer_results,
    notes_on,
    weight_info,
)
from onnx_evoq.run import Deadline, Stopped
from onnx_evoq.score import SESSION_OPTIONS
from onnx_evoq.setup import (
    MAX_BITS,
    Granularities,
    Granularity,
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
    default_metric,
    drop_measure,
    find_samples,
    fold_if_exact,
    max_drop_check,
    model_value,
    named_alike,
    nearest_of,
    not_finite,
    open_float_model,
    outputs_of,
    policy_from,
    prepare_calibration,
    score_of,
)

ModelSource = str | Path | Model
DataSource = Data | Source | None
Strategy = Literal["neuroevolution", "coevolution", "none"]
PolicySource = Policy | ParetoPoint | Mapping[str, Any] | str | Path

# How to evolve: together or not, and from where.
_USUAL = {
    (False, "reconstruct"): FROM_RECONSTRUCTION,
    (False, "nearest"): FROM_NEAREST,
    (True, "reconstruct"): TOGETHER_FROM_RECONSTRUCTION,
    (True, "nearest"): TOGETHER_FROM_NEAREST,
}


def optimize(
    model: ModelSource,
    data: DataSource = None,
    *,
    bits: int | None = None,
    policy: PolicySource | None = None,
    metric: MetricName = "auto",
    granularity: Granularity = "tensor",
    scale: Scale = "pow2",
    strategy: Strategy = "neuroevolution",
    init: Literal["reconstruct", "nearest"] = "reconstruct",
    population: int | None = None,
    generations: int | None = None,
    mutation_rate: float | None = None,
    time_budget: float | None = 240.0,
    max_drop: float | None = None,
    holdout: float = 0.25,
    keep: Iterable[str] = (),
    bits_for: Mapping[str, int] | None = None,
    format: Form = "qdq",
    seed: int = 0,
    memory: int | None = None,
    workers: int | None = None,
    providers: Sequence[str] | None = None,
    progress: Progress = silent,
) -> Result:
    """Put a model's weights on a fixed-point grid and search for the points that keep its answers.

    Args:
        model: an ONNX file, or a model in memory; float32 or float16 weights.
        data: samples that look like what the model will see, labels optional: a path, an array
            (samples, ...), a mapping of them, an iterable of feeds, or `Data` to say how to
            preprocess. None draws synthetic inputs.
        bits: width of the codes, 2 to 8.
        policy: instead of `bits`, for each weight its width, its granularity, and what share of its
            channels is split: a point that `search_bits` found, a mapping as `Policy.to_dict` gives
            it, or a JSON file that holds one.
        metric: what steers: "auto" (the output error), the name of a metric, or a function.
        granularity: one step per "tensor" or per output "channel", unless a policy says it.
        scale: "pow2" for steps that are powers of two, "float" for any.
        strategy: "neuroevolution", layer by layer; "coevolution" of all weights together, those
            first whose codes are least certain; or "none" for the start alone.
        init: where the search starts: "reconstruct" for codes that keep the output of each layer,
            in closed form, or "nearest" rounding, as in arXiv 2605.05228.
        population: candidates that stay after each iteration; None for 4 from a reconstruction and
            32 from nearest rounding. In coevolution, candidates that are drawn at a time, 32.
        generations: iterations per weight, and pass; None for 64. In coevolution, groups of weights
            that are searched, 1024 at most.
        mutation_rate: probability that a code moves; None for about 3 codes of a weight from a
            reconstruction, and 0.02 from nearest rounding. In coevolution, the share of all codes
            in the first group, 0.002 and 0.05.
        time_budget: seconds after which ranking and search stop; None for no limit.
        max_drop: percent that may be lost on the held-out samples: points of top-1 with labels,
            else the share of answers that change; the share of the outputs' power that is error,
            where outputs are no class scores; or percent of the value of a user's metric. As many
            of the most sensitive weights as that takes stay at 8 bits.
        holdout: share of the samples that accepts instead of selecting, in (0, 1).
        keep: patterns of weights that stay float.
        bits_for: widths by pattern, for weights that need another one.
        format: "qdq" for integer weights with DequantizeLinear, "float" for ``step * codes``.
        seed: of all random draws.
        memory: bytes that may be held in memory of the tensors that all candidates for a weight
            share; the rest goes to a temporary file. None for half of what is free.
        workers: runs at a time, at most, each on one core; None for as many as there are cores.
            The result is the same.
        providers: ONNX Runtime's execution providers in order of preference.
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
    check_choices(
        granularity=(granularity, ("tensor", "channel")),
        scale=(scale, ("pow2", "float")),
        strategy=(strategy, ("neuroevolution", "coevolution", "none")),
        init=(init, ("reconstruct", "nearest")),
        format=(format, ("qdq", "float")),
    )
    chosen = _chosen(bits, policy, bits_for)
    check_seed(seed)
    check_limits(holdout=holdout, max_drop=max_drop, time_budget=time_budget)
    usual = _USUAL[strategy == "coevolution", init]
    settings = replace(
        usual,
        population=usual.population if population is None else population,
        generations=usual.generations if generations is None else generations,
        mutation_rate=usual.mutation_rate if mutation_rate is None else mutation_rate,
    )
    resources = Resources(providers, memory, workers)
    deadline = Deadline(time_budget)

    # 1. The float model and its weights.
    float_model = open_float_model(model, keep)
    if isinstance(chosen, int):  # a pattern that matches nothing ends it here
        bits_of(float_model.weights, chosen, bits_for or {})

    # 2. What scores: the samples, split in two, and the float model's answers.
    rng, search_rng = np.random.default_rng(seed).spawn(2)
    calibration = prepare_calibration(
        float_model.reference,
        name_of(model),
        as_data(data),
        metric,
        holdout,
        rng,
        providers,
        progress,
    )
    float_model = fold_if_exact(float_model, calibration, providers)

    # 3. Every weight rounded to its grid.
    widths: Mapping[str, Bits]
    granularities: Granularities = granularity
    if isinstance(chosen, Policy):
        float_model = apply_policy(float_model, chosen, calibration, providers)
        widths, granularities = chosen.bits, chosen.granularities(granularity)
    else:
        widths = bits_of(float_model.weights, chosen, bits_for or {})
    rounded = nearest_of(float_model.weights, widths, granularities, scale)
    ranking = dict.fromkeys(rounded, float("nan"))
    searching = strategy != "none"
    ranked = max_drop is not None or (strategy == "neuroevolution" and init == "nearest")
    if ranked:
        # The order: least sensitive first. Most of the time is for the search.
        ranking = rank_by_sensitivity(
            float_model.model, rounded, calibration.search, deadline.share(3), resources, progress
        )

    # 4. The start, and the search from there.
    task = Task(
        float_model.model, float_model.weights, widths, granularities, scale, calibration.search,
        calibration.heldout, deadline,
        None if max_drop is None else max_drop_check(float_model.model, calibration, max_drop, providers),
        resources, progress,
    )  # fmt: skip
    search = from_reconstruction if init == "reconstruct" else from_nearest
    found = search(task, list(ranking), settings if searching else None, search_rng)
    working, evolved = found.model, found.evolved

    # 5. The scores of rounding at the widths that are emitted, of the start, and of the reference.
    def score(candidate: Model) -> Score:
        return score_of(candidate, calibration, providers, progress)

    emitted_widths = {name: weight.grid.bits for name, weight in evolved.quantized.items()}
    rounded = nearest_of(float_model.weights, emitted_widths, granularities, scale)
    nearest_score = start_score = score(with_codes(float_model.model, rounded))
    if init == "reconstruct" or emitted_widths != widths:
        start_score = score(with_codes(found.start_model, found.start))

    # 6. The emitted model, loaded afresh and scored: these are the numbers shown.
    emitted, on_emission = emit(
        working,
        evolved.quantized,
        format,
        metadata_of(
            evolved.quantized,
            seed,
            calibration.metric.name,
            nearest_score,
            score(with_codes(working, evolved.quantized)),
        ),
        calibration.search.batches[0],
        providers,
    )
    scores = {
        "reference": score(float_model.reference),
        "nearest": nearest_score,
        "start": start_score,
        "evolved": score(emitted),
    }
    return Result(
        model=emitted,
        source=name_of(model),
        bits=bits,
        granularity=_one_granularity(granularities),
        scale=scale,
        seed=seed,
        metric=calibration.metric.name,
        scores=scores,
        layers=layer_results(evolved, ranking),
        bytes_before=size_in_bytes(model),
        bytes_after=len(serialize(emitted)),
        packed_bytes=packed_bytes(working, evolved.quantized),
        evaluations=evolved.evaluations,
        seconds=time.monotonic() - began,
        stopped=evolved.stopped,
        notes=(
            *calibration.notes,
            *float_model.notes,
            *found.notes,
            *notes_on(evolved, ranking, max_drop, ranked),
            *on_emission,
        ),
        session_options=dict(SESSION_OPTIONS),
    )


def _one_granularity(granularities: Granularities) -> str:
    """That of all weights, or "mixed"."""
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


def search_bits(
    model: ModelSource,
    data: DataSource = None,
    *,
    metric: MetricName = "auto",
    granularity: Granularity | Literal["any"] = "any",
    per_channel: bool = False,
    expansion: bool = True,
    size: Literal["packed", "file"] = "packed",
    scale: Scale = "pow2",
    time_budget: float | None = 600.0,
    holdout: float = 0.25,
    keep: Iterable[str] = (),
    seed: int = 0,
    memory: int | None = None,
    workers: int | None = None,
    providers: Sequence[str] | None = None,
    progress: Progress = silent,
) -> Search:
    """Search for the widths of the layers, and the channels to split, that no others beat.

    NSGA-II minimises size and output error together; see `onnx_evoq.mixed_precision.search`.

    Args:
        model: as for `optimize`, as are `data`, `scale`, `holdout`, `keep`, `seed`, `memory`,
            `workers`, `providers` and `progress`.
        metric: what is minimised (or maximised) besides the size, as for `optimize`.
        granularity: one step per "tensor" or per output "channel", or "any" for what pays for each
            layer; uniform widths, which the others are compared with, then have one per tensor.
        per_channel: whether groups of a layer's channels may have widths of their own, where
            channels have steps of their own.
        expansion: whether channels may be split, where the graph allows it.
        size: "packed" to count codes at their own widths, "file" to count them as an ONNX file
            stores them.
        time_budget: seconds after which nothing new is begun, but that each layer is quantized at
            each width, and the uniform widths are built, in any case; None for no limit.

    Returns:
        The front; `pick` gives the point for a budget, `optimize` takes it as its `policy`.

    Raises:
        EvoqError: as for `optimize`.

    Example:
        >>> import onnx_evoq
        >>> found = onnx_evoq.search_bits("model.onnx", "calib.npz")  # doctest: +SKIP
        >>> point = found.pick(budget=120_000)  # doctest: +SKIP
        >>> result = onnx_evoq.optimize(  # doctest: +SKIP
        ...     "model.onnx", "calib.npz", policy=point)
    """
    began = time.monotonic()
    check_choices(
        granularity=(granularity, ("tensor", "channel", "any")),
        scale=(scale, ("pow2", "float")),
        size=(size, ("packed", "file")),
    )
    if per_channel and granularity == "tensor":
        raise OptionError(
            "widths per channel need steps per channel: choose granularity channel or any."
        )
    check_seed(seed)
    check_limits(holdout=holdout, max_drop=None, time_budget=time_budget)
    resources = Resources(providers, memory, workers)
    deadline = Deadline(time_budget)
    float_model = open_float_model(model, keep)
    rng, search_rng = np.random.default_rng(seed).spawn(2)
    calibration = prepare_calibration(
        float_model.reference,
        name_of(model),
        as_data(data),
        metric,
        holdout,
        rng,
        providers,
        progress,
    )
    float_model = fold_if_exact(float_model, calibration, providers)
    in_file = size == "file"
    options = SearchSpaceOptions(
        expansion,
        per_channel,
        in_file,
        ("tensor", "channel") if granularity == "any" else (granularity,),
    )
    task = Task(
        float_model.model, float_model.weights, bits_of(float_model.weights, MAX_BITS, {}),
        options.granularities[0], scale, calibration.search, calibration.heldout,
        deadline, None, resources, progress,
    )  # fmt: skip
    found = search_front(
        task,
        drop_measure(float_model.model, calibration, providers),
        search_rng,
        options,
    )
    notes = [*calibration.notes, *float_model.notes]
    if found.stopped is Stopped.TIME:
        notes.append(
            "the time budget cut the search short: a longer one finds more, and only a search that "
            "runs to its end repeats to the byte."
        )
    elif found.stopped is Stopped.INTERRUPT:
        notes.append("the search was interrupted: the front is what was found until then.")
    return Search(
        source=name_of(model),
        metric=calibration.metric.name,
        size=size,
        seed=seed,
        front=found.points,
        uniform=found.uniform,
        greedy=found.greedy,
        hypervolume=hypervolumes(found, calibration.metric.fitness, in_file),
        evaluations=found.evaluations,
        seconds=time.monotonic() - began,
        stopped=found.stopped,
        notes=tuple(notes),
    )


def rank_sensitivity(
    model: ModelSource,
    data: DataSource = None,
    *,
    bits: int = 4,
    metric: MetricName = "auto",
    granularity: Granularity = "tensor",
    scale: Scale = "pow2",
    keep: Iterable[str] = (),
    seed: int = 0,
    memory: int | None = None,
    workers: int | None = None,
    providers: Sequence[str] | None = None,
    progress: Progress = silent,
) -> Sensitivity:
    """Rank the weights by the model's score when each of them alone is quantized.

    Args:
        model: as for `optimize`, as are `data`, `metric`, `granularity`, `scale`, `keep`,
            `seed`, `memory`, `workers`, `providers` and `progress`.
        bits: the width to try.

    Returns:
        The ranking, least sensitive first.

    Raises:
        EvoqError: as for `optimize`.

    Example:
        >>> import onnx_evoq
        >>> ranking = onnx_evoq.rank_sensitivity("model.onnx")  # doctest: +SKIP
        >>> ranking.rows[-1].name  # doctest: +SKIP
        'conv1.weight'
    """
    check_choices(
        granularity=(granularity, ("tensor", "channel")), scale=(scale, ("pow2", "float"))
    )
    check_bits(bits)
    check_seed(seed)
    resources = Resources(providers, memory, workers)
    float_model = open_float_model(model, keep)
    rng = np.random.default_rng(seed)
    calibration = prepare_calibration(
        float_model.reference, name_of(model), as_data(data), metric, None, rng, providers, progress
    )
    float_model = fold_if_exact(float_model, calibration, providers)
    widths = dict.fromkeys((weight.name for weight in float_model.weights), bits)
    start = nearest_of(float_model.weights, widths, granularity, scale)
    ranking = rank_by_sensitivity(
        float_model.model, start, calibration.search, None, resources, progress
    )
    by_name = {weight.name: weight for weight in float_model.weights}
    return Sensitivity(
        source=name_of(model),
        metric=calibration.metric.name,
        samples=calibration.search.samples,
        reference=model_value(float_model.reference, calibration.search, providers),
        rows=tuple(
            SensitivityRow(name, by_name[name].op_type, by_name[name].shape, bits, value)
            for name, value in ranking.items()
        ),
        notes=(*calibration.notes, *float_model.notes),
    )


def evaluate(
    model: ModelSource,
    data: DataSource = None,
    *,
    metric: MetricName = "auto",
    reference: ModelSource | None = None,
    seed: int = 0,
    providers: Sequence[str] | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Score a model, and compare its outputs with those of a reference model.

    Args:
        model: any ONNX model, quantized or not.
        data: as for `optimize`.
        metric: "auto" for top-1 where labels are classes of the first output, else the mean
            squared error against `reference`; or the name of a metric, or a function.
        reference: the float model to compare with.
        seed: of synthetic inputs.
        providers: ONNX Runtime's execution providers in order of preference.
        progress: shows how far it is.

    Raises:
        EvoqError: the model, the data or the metric cannot be used; the message says what to do.

    Example:
        >>> import onnx_evoq
        >>> score = onnx_evoq.evaluate(  # doctest: +SKIP
        ...     "model.w6.onnx", "test.npz", metric="top1", reference="model.onnx")
        >>> score.value, score.agreement  # doctest: +SKIP
        (0.968, 0.991)
    """
    check_seed(seed)
    chosen = None if metric == "auto" else find_metric(metric)
    loaded = load(model, quantized=True)
    specs = input_specs(loaded)
    samples = find_samples(specs, as_data(data), np.random.default_rng(seed), progress)
    outputs = outputs_of(loaded, name_of(model), samples, providers, progress)
    if chosen is None:
        chosen = default_metric(samples, outputs, reference is not None)
    expected, notes = None, list(samples.notes) + not_finite(outputs, name_of(model))
    if reference is not None:
        expected = outputs_of(
            load(reference, quantized=True), name_of(reference), samples, providers, progress
        )
        notes += not_finite(expected, name_of(reference))
        expected = named_alike(expected, outputs, name_of(reference))

    def value(kind: Metric) -> float:
        against = None if expected is None else [expected]
        return Target(kind, against, samples.labels).value([outputs])

    measured = value(chosen)
    if np.isnan(measured):
        raise MetricError(f"metric {chosen.name!r} returns NaN: mend the metric, or the model.")
    beside = {
        name: None if expected is None else value(find_metric(name))
        for name in ("agreement", "mse", "kl")
    }
    return Evaluation(
        source=name_of(model),
        metric=chosen.name,
        value=measured,
        samples=len(samples),
        **beside,
        notes=tuple(notes),
    )


def inspect(model: ModelSource) -> Inspection:
    """List a model's weights, and say of every other initializer why it is none.

    Of each weight it says whether the output channels can be split (duplicated, with half the
    weight for either in what reads them), and if not, what is in the way.

    Args:
        model: a float ONNX model.

    Raises:
        ModelError: it cannot be read or is quantized already.

    Example:
        >>> import onnx_evoq
        >>> [w.name for w in onnx_evoq.inspect("model.onnx").weights]  # doctest: +SKIP
        ['conv1.weight', 'fc.weight']
    """
    folded, names = fold_batch_norm(load(model))
    weights, skipped = find_weights(folded)
    check_finite(weights)
    _, in_the_way = splittable_layers(folded)
    return Inspection(
        source=name_of(model),
        bytes=size_in_bytes(model),
        folded=tuple(names),
        weights=tuple(weight_info(weight, in_the_way.get(weight.name)) for weight in weights),
        skipped=tuple(skipped),
    )

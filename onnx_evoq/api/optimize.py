"""Quantize a model: put its weights on a fixed-point grid, and search for the best codes."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from onnx_evoq.api.c_header import check_header
from onnx_evoq.api.details import details_of, seconds_of_details
from onnx_evoq.api.job import (
    Asked,
    DataSource,
    FinalCheck,
    ModelSource,
    PolicySource,
    chosen_width,
    prepare_job,
    result_of,
    run_options,
    state_of_end,
    widths_of,
    with_best_kept,
)
from onnx_evoq.data import as_data
from onnx_evoq.engine import rank_in_time
from onnx_evoq.freed_memory import give_back
from onnx_evoq.metrics import MetricName
from onnx_evoq.mixed_precision import Policy, apply_policy
from onnx_evoq.model import content_hash, name_of
from onnx_evoq.parallel import one_blas_thread
from onnx_evoq.pipeline import (
    DEFAULT_STRATEGY,
    Form,
    Storage,
    Strategy,
    StrategyName,
    choose_target,
    fine_tune,
    fine_tune_if_fits_hold,
    granularities_for,
    notes_on_target,
    reconstruct_behind,
)
from onnx_evoq.progress import Progress, silent
from onnx_evoq.reconstruct import check_memory
from onnx_evoq.record import kept_run
from onnx_evoq.report import (
    Result,
)
from onnx_evoq.run import Deadline, Recorder, keeping_what_was_found
from onnx_evoq.setup import (
    DEFAULT_GRID,
    DEFAULT_RESOURCES,
    MAX_BITS,
    Grid,
    Resources,
    Task,
    bits_of,
    check_kinds,
    check_limits,
    check_seed,
    drop_measure,
    max_drop_check,
    on_cluster,
    open_float_model,
)
from onnx_evoq.targets import TargetName


@one_blas_thread
@on_cluster
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
    target: TargetName | None = None,
    format: Form | None = None,
    storage: Storage = "auto",
    requantize: bool = False,
    score_at: Sequence[str] = (),
    details: bool = False,
    seed: int = 0,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
    run_dir: str | Path | None = None,
) -> Result:
    """Put a model's weights on a fixed-point grid, and search for codes that keep its answers.

    Args:
        model: the path of an ONNX file, or an `onnx.ModelProto`; its weights are float32 or
            float16.
        data: samples like those that the model will see; labels are optional. A path (.npz, .npy,
            a folder of images, or one of .npz and .npy files with a feed each),
            ``"package.module:function"``, an array (samples, ...), a mapping of one array (or list
            of samples) per input, an iterable of ``{input: array}`` feeds, a function that returns
            such an iterable, or a `Data`, which says how to preprocess the samples. Shapes may
            differ from feed to feed. None draws synthetic inputs.
        bits: width of the codes in bits, 2 to 8. Give either `bits` or a `policy`.
        bits_for: other widths in bits for some weights, by shell-style pattern: "conv1*" matches
            weights, or nodes, of such names.
        policy: for each weight its width, its granularity, and the share of its channels that are
            split. A point that `search_bits` found, a `Policy`, a mapping as from
            `Policy.to_dict`, or the path of a JSON file with such a mapping.
        grid: the granularity and the steps of the grid, and the weights that stay float.
        metric: what the search minimises or maximises: "auto" for the output error, the name of a
            metric, or a function of (outputs, labels) with an attribute `higher_is_better`.
        strategy: how codes are searched: "neuroevolution" layer by layer, "coevolution" all
            together, or "none" for no search; a `Strategy` sets more.
        time_budget: seconds that all of it may take. The work on each layer, the samples and the
            search are planned within it, and notes say what was cut. None for the full method.
        max_drop: percent that the model may lose on the held-out samples. With labels, points of
            top-1; without labels, the percentage of answers that change, or, where the outputs
            are no class scores, the error as a percentage of the outputs' power; with a metric
            of the user, percent of its value. To keep within it, the most sensitive weights stay
            at 8 bits, as few as possible. None for no limit.
        holdout: share of the samples that accept or reject what the others selected, above 0 and
            below 1.
        target: the runtime that the model is for, by name. It sets what the runtime documents: the
            type of the codes of activations, narrow range, storage, operator set and batch; an
            option that contradicts it is an error. None for ONNX Runtime.
        format: "qdq" for integer weights with DequantizeLinear, "float" for float weights that
            are ``step * codes``, "qonnx" for Quant nodes with the exact widths. ONNX Runtime
            cannot run it: its scores are those of the same codes in the qdq format. "c" for the
            qdq format without notes on runtimes, to make a header of it with `c_header`. None for
            what the target reads: "qdq".
        storage: the narrowest integer type that holds codes of weights: "int8", "int4", "int2", or
            "auto" for the one that fits. More runtimes read INT8, and integer kernels need it.
        requantize: whether weights that are quantized already, codes with DequantizeLinear, are
            quantized anew; else they stay as they are.
        score_at: tensors of floats of the main graph at which models are compared. None for the
            outputs; in place of those that cannot be compared (variable rows, maps, sequences,
            strings, whole numbers), for the nearest tensors of floats before them, and a note says
            which. A metric of the user takes the outputs in any case.
        details: whether `Result.details` shall hold what a report shows besides: errors by layer,
            histograms of codes, changed answers. It takes more runs, in a tenth of the time.
        seed: seed of all random draws, 0 or more.
        resources: what may be used of the machine. Cores do not change the result; little memory
            leaves out what does not fit into it.
        progress: shows the progress; `onnx_evoq.bars` writes it to stderr.
        run_dir: a folder that keeps what is found while the call goes on. A call with the same
            folder goes on where the last one ended, however that happened, and its result is the
            same to the byte; the time budget counts the time of both. None to keep nothing.

    Returns:
        The emitted model, its scores, and how it was made.

    Raises:
        ModelError: the model cannot be read, run or quantized.
        DataError: the data cannot be read, or do not fit the model.
        MetricError: the metric is unknown, or cannot be computed.
        OptionError: an option has a value that makes no sense.
        StorageError: there is no room for temporary files.
        BudgetError: the model drops by more than `max_drop` even at 8 bits.

    Example:
        >>> import onnx_evoq
        >>> result = onnx_evoq.optimize(  # doctest: +SKIP
        ...     "model.onnx", onnx_evoq.Data("calib.npz", divide=255), bits=6)
        >>> result.save("model.w6.onnx")  # doctest: +SKIP
    """
    # 1. Check the options.
    strategy = Strategy(strategy) if isinstance(strategy, str) else strategy
    width_or_policy = chosen_width(bits, policy, bits_for)
    check_kinds(grid=(grid, Grid), strategy=(strategy, Strategy), resources=(resources, Resources))
    granularity = grid.of_all()
    chosen, storage, form = choose_target(target, grid, storage, format)
    check_seed(seed)
    check_limits(holdout=holdout, max_drop=max_drop, time_budget=time_budget)
    rng, search_rng, behind_rng = np.random.default_rng(seed).spawn(3)
    options = run_options(
        data, resources, grid, strategy, bits=bits, bits_for=bits_for or {},
        policy=None if policy is None else width_or_policy, metric=metric, max_drop=max_drop,
        holdout=holdout, target=chosen.name, format=form, storage=storage,
        requantize=requantize, score_at=score_at, seed=seed,
    )  # fmt: skip

    with kept_run(run_dir, options) as run:
        began, of_all = time.monotonic() - run.spent, Deadline(time_budget)
        deadline = of_all.earlier(run.spent)
        recorder = Recorder(progress, deadline)

        # 2. Open the float model, and run it on the samples.
        float_model = open_float_model(
            model, grid.keep, form=form, requantize=requantize, score_at=score_at,
            resources=resources,
        )  # fmt: skip
        give_back()  # the file's bytes, and what the checks took
        digest = content_hash(model)
        run.same("model", {"sha256": digest})
        run.needs_more_than(time_budget)
        if isinstance(width_or_policy, int):  # a pattern that matches no weight is an error at once
            bits_of(float_model.every_weight, width_or_policy, bits_for or {})
        opened = time.monotonic() - began - run.spent
        job = prepare_job(
            float_model, name_of(model), data, metric, holdout, rng, resources, recorder,
            of_all, run,
        )  # fmt: skip
        calibration, final = job.calibration, FinalCheck(job.calibration, opened, deadline)
        describing = 0.0
        if details:
            weights = len(float_model.weights)
            describing = seconds_of_details(final.calibration, weights, deadline)

        # 3. Give each weight its width and its granularity.
        if isinstance(width_or_policy, Policy):
            expanded = apply_policy(job.float_model, width_or_policy, calibration, resources)
            job = job.with_float_model(expanded)
        float_model = job.float_model
        widths, granularities = widths_of(float_model, width_or_policy, bits_for or {}, granularity)
        names = [weight.name for weight in float_model.behind]
        behind = {name: widths[name] if max_drop is None else MAX_BITS for name in names}
        seen = {name: width for name, width in widths.items() if name not in behind}
        granularities, notes_on_steps = granularities_for(
            chosen, float_model.every_weight, granularities, widths
        )
        drop = check = None
        if max_drop is not None:
            drop = drop_measure(float_model.model, calibration, resources)
            check = max_drop_check(drop, max_drop)
        task = Task(
            float_model.model, float_model.weights, seen, granularities, grid.scale,
            calibration.search_set, calibration.heldout_set,
            deadline.earlier(final.seconds + describing), check,
            resources, recorder, calibration.seconds,
            narrow_range=grid.narrow_range or chosen.narrow_range, target=chosen,
            activation_bits=grid.activations, activation_scale=grid.activation_scale,
            own=float_model.points.own, behind=behind, otherwise=calibration.otherwise,
            steps=run.steps, memory=calibration.memory,
        )  # fmt: skip

        check_memory(task)
        if form == "c":  # what a header cannot hold is refused before the search, not after it
            check_header(task, name_of(model))

        if strategy.init == "reconstruct":
            task = reconstruct_behind(task, behind_rng)

        # 4. Rank the weights, if their order has an effect; most of the time is for the search.
        in_order = strategy.name == "neuroevolution" and strategy.init == "nearest"
        ranked = max_drop is not None or in_order
        ranking = (
            rank_in_time(task) if ranked else {weight.name: float("nan") for weight in task.weights}
        )

        # 5. Quantize, and search for better codes.
        tune = fine_tune_if_fits_hold if task.otherwise else fine_tune
        tuned = tune(task, list(ranking), strategy, search_rng)

        # 6. Emit the model, and score what was emitted.
        with keeping_what_was_found() as interruption:
            job = replace(job, calibration=final.calibration)
            asked = Asked(
                model, bits, grid, strategy, form, storage, max_drop, seed,
                digest, as_data(data).source is not None,
            )  # fmt: skip
            result = result_of(
                asked, job, task, tuned, drop, ranking if ranked else None, interruption,
                (
                    *notes_on_steps, *notes_on_target(chosen, grid.activations, form),
                    *final.notes, *run.notes,
                ),
                began,
            )  # fmt: skip
            result = replace(result, history=recorder.history)
            if details and interruption.reason is None:
                readable = form != "qonnx"
                more = details_of(result, digest, job, task, tuned, readable, deadline)
                result = replace(result, details=more, seconds=time.monotonic() - began)
            scored = job.calibration  # which has the samples of the final scores
            result = with_best_kept(run, result, scored.metric, scored.heldout_set.samples)
            run.ended(state_of_end(result.stopped))
            return result

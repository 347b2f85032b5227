"""Search for widths of the layers: the Pareto front between size and output error."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from onnx_evoq.api.details import provenance_of
from onnx_evoq.api.job import DataSource, ModelSource, prepare_job, run_options, state_of_end
from onnx_evoq.api.kept_search import keep_search, kept_search
from onnx_evoq.errors import OptionError
from onnx_evoq.metrics import MetricName
from onnx_evoq.mixed_precision import SearchSpaceOptions, hypervolumes, search_front
from onnx_evoq.model import content_hash, name_of
from onnx_evoq.parallel import one_blas_thread
from onnx_evoq.pipeline import choose_target, reconstruct_behind
from onnx_evoq.progress import Progress, silent
from onnx_evoq.reconstruct import check_memory
from onnx_evoq.record import kept_run
from onnx_evoq.report import Search
from onnx_evoq.run import Deadline, Recorder, Stopped
from onnx_evoq.setup import (
    DEFAULT_RESOURCES,
    MAX_BITS,
    Calibration,
    Granularity,
    Grid,
    Resources,
    Task,
    bits_of,
    check_choices,
    check_kinds,
    check_limits,
    check_seed,
    drop_measure,
    on_cluster,
    open_float_model,
)
from onnx_evoq.targets import TargetName

_SCORED_POINTS, _SCORING_SHARE = 18, 0.2  # points that are scored in this share of the time

ANY_GRANULARITY = Grid(granularity="any")


@dataclass(frozen=True)
class SearchSpace:
    """What a search of widths may choose, and which bytes count.

    Attributes:
        per_channel: whether groups of a layer's channels may have widths of their own. They need a
            step for each channel.
        expansion: whether channels may be split, where the graph allows it.
        size: which bytes count: "packed" for codes at their own widths, "file" for codes as an
            ONNX file stores them, in 2, 4 or 8 bits.

    Raises:
        OptionError: a choice is unknown.

    Example:
        >>> SearchSpace(size="file").expansion
        True
    """

    per_channel: bool = False
    expansion: bool = True
    size: Literal["packed", "file"] = "packed"

    def __post_init__(self) -> None:
        check_choices(size=(self.size, ("packed", "file")))


_SHARE = "share of the samples"  # what a run notes
DEFAULT_SPACE = SearchSpace()


@one_blas_thread
@on_cluster
def search_bits(
    model: ModelSource,
    data: DataSource = None,
    *,
    space: SearchSpace = DEFAULT_SPACE,
    grid: Grid = ANY_GRANULARITY,
    target: TargetName | None = None,
    metric: MetricName = "auto",
    time_budget: float | None = 600.0,
    holdout: float = 0.25,
    requantize: bool = False,
    score_at: Sequence[str] = (),
    details: bool = False,
    seed: int = 0,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
    run_dir: str | Path | None = None,
) -> Search:
    """Search for widths of the layers, and channels to split, best in both size and error.

    NSGA-II (Deb et al. 2002) minimises the size and the output error together. The result is the
    Pareto front, and, for comparison, one width for all layers and widths by sensitivity alone.

    Args:
        model: the model, as for `optimize`.
        data: the samples, as for `optimize`.
        space: what the search may choose, and which bytes count.
        grid: the granularity and the steps of the grid, and the weights that stay float. With
            granularity "any" the search chooses the granularity of each layer; uniform widths, for
            comparison, then have one step per tensor.
        target: the runtime that the model is for, as for `optimize`.
        metric: what is minimised or maximised besides the size, as for `optimize`.
        time_budget: seconds that all of it may take. The work on each layer, the samples and the
            points are planned within it, and notes say what was cut. None for the full method.
        holdout: share of the samples that score the points for the user, but do not select them,
            above 0 and below 1.
        requantize: whether weights that are quantized already, codes with DequantizeLinear, are
            quantized anew; else they stay as they are.
        score_at: the tensors at which models are compared, as for `optimize`. Weights behind them
            have 8 bits.
        details: whether `Search.details` shall hold versions and hashes, as a report shows them.
        seed: seed of all random draws, 0 or more.
        resources: what may be used of the machine; it does not change the result.
        progress: shows the progress; `onnx_evoq.bars` writes it to stderr.
        run_dir: a folder that keeps what is found, as for `optimize`.

    Returns:
        The Pareto front. `Search.pick` chooses a point of it, which `optimize` takes as its
        policy.

    Raises:
        ModelError: the model cannot be read, run or quantized.
        DataError: the data cannot be read, or do not fit the model.
        MetricError: the metric is unknown, or cannot be computed.
        OptionError: an option has a value that makes no sense.
        StorageError: there is no room for temporary files.

    Example:
        >>> import onnx_evoq
        >>> found = onnx_evoq.search_bits("model.onnx", "calib.npz")  # doctest: +SKIP
        >>> point = found.pick(budget=120_000)  # doctest: +SKIP
        >>> result = onnx_evoq.optimize(  # doctest: +SKIP
        ...     "model.onnx", "calib.npz", policy=point)
    """
    # 1. Check the options.
    check_kinds(space=(space, SearchSpace), grid=(grid, Grid), resources=(resources, Resources))
    if space.per_channel and grid.granularity == "tensor":
        raise OptionError(
            "widths per channel need steps per channel: choose granularity channel or any."
        )
    check_seed(seed)
    check_limits(holdout=holdout, max_drop=None, time_budget=time_budget)
    granularities: tuple[Granularity, ...] = (
        ("tensor", "channel") if grid.granularity == "any" else (grid.granularity,)
    )
    chosen, _, _ = choose_target(target, replace(grid, granularity=granularities[0]))
    if grid.granularity == "any":
        granularities = tuple(own for own in granularities if own in chosen.granularities)
    if space.per_channel and "channel" not in granularities:
        raise OptionError(f"target {chosen.name} takes no steps, and no widths, per channel.")
    rng, search_rng, behind_rng = np.random.default_rng(seed).spawn(3)
    kept = run_options(
        data, resources, space, grid, target=chosen.name, metric=metric, holdout=holdout,
        requantize=requantize, score_at=score_at, seed=seed,
    )  # fmt: skip

    with kept_run(run_dir, kept) as run:
        began, of_all = time.monotonic() - run.spent, Deadline(time_budget)
        deadline = of_all.earlier(run.spent)
        recorder = Recorder(progress, deadline)
        needs_digest = details or run.folder is not None
        digest = content_hash(model) if needs_digest else ""
        run.same("model", {"sha256": digest})

        # 2. Open the float model, and run it on the samples.
        float_model = open_float_model(
            model, grid.keep, requantize=requantize, score_at=score_at, resources=resources
        )
        job = prepare_job(
            float_model, name_of(model), data, metric, holdout, rng, resources, recorder,
            of_all, run,
        )  # fmt: skip
        float_model, calibration = job.float_model, job.calibration
        described = None
        if details:
            batches = [*calibration.search_set.batches, *calibration.heldout_set.batches]
            described = provenance_of(digest, batches)
        if (before := kept_search(run, time_budget)) is not None:
            run.ended(state_of_end(before.stopped))
            return replace(before, details=described, notes=(*before.notes, *run.notes))
        share = run.recall(_SHARE) or _scored_share(calibration, deadline)
        run.note(_SHARE, share)
        scored = calibration.first(share)

        # 3. Search.
        in_file = space.size == "file"
        options = SearchSpaceOptions(
            expansion=space.expansion,
            per_channel=space.per_channel,
            in_file=in_file,
            granularities=granularities,
        )
        task = Task(
            float_model.model, float_model.weights, bits_of(float_model.weights, MAX_BITS, {}),
            options.granularities[0], grid.scale, calibration.search_set, scored.heldout_set,
            deadline, None, resources, recorder, calibration.seconds, calibration.few,
            narrow_range=grid.narrow_range or chosen.narrow_range, target=chosen,
            activation_bits=grid.activations,
            activation_scale=grid.activation_scale, has_classes=calibration.has_classes, seed=seed,
            own=float_model.points.own,
            behind={weight.name: MAX_BITS for weight in float_model.behind},
            steps=run.steps, memory=calibration.memory,
        )  # fmt: skip
        check_memory(task)
        task = reconstruct_behind(task, behind_rng)
        found = search_front(
            task,
            drop_measure(float_model.model, scored, resources),
            search_rng,
            options,
            scored=scored.search_set,
        )
        result = Search(
            source=job.source,
            details=described,
            metric=calibration.metric.name,
            scored_at=float_model.points.names,
            size=space.size,
            seed=seed,
            front=found.points,
            uniform=found.uniform,
            greedy=found.greedy,
            hypervolume=hypervolumes(found, calibration.metric.fitness, in_file),
            evaluations=found.evaluations,
            seconds=time.monotonic() - began,
            stopped=found.stopped,
            notes=(
                *job.notes,
                *_notes_on_samples(scored, calibration),
                *found.notes,
                *_notes_on(found.stopped),
                *run.notes,
            ),
            history=recorder.history,
        )
        if found.stopped is not Stopped.INTERRUPT:
            keep_search(run, result, time_budget)
        run.ended(state_of_end(found.stopped))
        return result


def _scored_share(calibration: Calibration, deadline: Deadline) -> float:
    """The share of the samples on which points are scored, so that there is time for the rest."""
    samples = calibration.search_set.samples + 2 * calibration.heldout_set.samples
    needed = _SCORED_POINTS * samples * calibration.seconds
    return 1.0 if needed <= 0 else min(1.0, max(1e-6, _SCORING_SHARE * deadline.left / needed))


def _notes_on_samples(scored: Calibration, calibration: Calibration) -> list[str]:
    """What a user should read if not all samples score the points."""
    used, given = (
        each.search_set.samples + each.heldout_set.samples for each in (scored, calibration)
    )
    if used == given:
        return []
    return [f"the points are scored on {used} of {given} samples, to save time."]


def _notes_on(stopped: Stopped | None) -> list[str]:
    """What a user should read about a search that ended early."""
    if stopped is Stopped.TIME:
        return [
            "the time budget cut the search for widths short: a longer one finds more, and only a "
            "search that runs to its end repeats to the byte."
        ]
    if stopped is Stopped.INTERRUPT:
        return ["the search was interrupted: the front is what was found until then."]
    return []

"""Search for a width for each layer, choose a point of the Pareto front, and optimize it."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from onnx_evoq.api.job import BEST, DataSource, ModelSource, PolicySource, state_of_end
from onnx_evoq.api.optimize import optimize
from onnx_evoq.api.search_bits import ANY_GRANULARITY, DEFAULT_SPACE, SearchSpace, search_bits
from onnx_evoq.errors import OptionError
from onnx_evoq.metrics import MetricName
from onnx_evoq.mixed_precision import ParetoPoint, Policy, policy_from
from onnx_evoq.parallel import one_blas_thread
from onnx_evoq.progress import Progress, silent
from onnx_evoq.record import Run, described, kept_run, seconds_given
from onnx_evoq.report import MixedPrecision, Search
from onnx_evoq.run import Stopped
from onnx_evoq.setup import (
    DEFAULT_RESOURCES,
    Grid,
    Resources,
    check_limits,
    check_whole,
    on_cluster,
)
from onnx_evoq.targets import TargetName

_SEARCH_SHARE = 0.7  # of the time budget, where a point is optimized
_CHOSEN = "chosen"  # what a run notes: the folder of the point
_LEAST = 1e-3  # seconds that the optimization has in any case
_NOT_OPTIMIZED = (
    "interrupted before the chosen point was optimized: no model was made; save the policy "
    "(--save-policy), and optimize it with --policy."
)


@one_blas_thread
@on_cluster
def search_and_optimize(
    model: ModelSource,
    data: DataSource = None,
    *,
    budget: int | None = None,
    max_drop: float | None = None,
    policy: PolicySource | None = None,
    space: SearchSpace = DEFAULT_SPACE,
    grid: Grid = ANY_GRANULARITY,
    target: TargetName | None = None,
    metric: MetricName = "auto",
    time_budget: float | None = 600.0,
    tune_budget: float | None = None,
    holdout: float = 0.25,
    requantize: bool = False,
    score_at: Sequence[str] = (),
    details: bool = False,
    seed: int = 0,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
    run_dir: str | Path | None = None,
) -> MixedPrecision:
    """Search for a width for each layer, choose the point that fits, and optimize it.

    This is `search_bits`, then `Search.pick`, then `optimize` with the point as its policy.

    Args:
        model: the model, as for `optimize`.
        data: the samples, as for `optimize`.
        budget: bytes that the weights may take. It chooses the point with the lowest error among
            those that are no larger.
        max_drop: percent that the model may lose on the held-out samples, as for `optimize`. It
            chooses the smallest point that loses no more. With a budget and a drop, it is the
            smallest point that keeps both.
        policy: a choice to optimize without a search, as for `optimize`; it excludes a budget.
        space: what the search may choose, and which bytes count.
        grid: the granularity and the steps of the grid, and the weights that stay float, as for
            `search_bits`.
        target: the runtime that the model is for, as for `optimize`.
        metric: what the search minimises or maximises, as for `optimize`.
        time_budget: seconds that all of it may take. Where a point is optimized, the search has 7
            tenths of them, and the optimization what is left. None for no limit.
        tune_budget: seconds that the optimization may take, where the search shall have all of
            `time_budget`; None for a share of that.
        holdout: share of the samples that accept or reject what the others selected, above 0 and
            below 1.
        requantize: whether weights that are quantized already are quantized anew.
        score_at: the tensors at which models are compared, as for `search_bits`.
        details: whether the search and the result shall hold what a report shows besides.
        seed: seed of all random draws, 0 or more.
        resources: what may be used of the machine; it does not change the result.
        progress: shows the progress; `onnx_evoq.bars` writes it to stderr.
        run_dir: a folder that keeps what is found, as for `optimize`; it gets one folder for the
            search and one for the optimization.

    Returns:
        The search, the chosen point, and the optimized model. Without a budget, a drop or a policy
        there is only the search, and on Ctrl-C no model unless it was being optimized.

    Raises:
        BudgetError: no point fits, or the optimized model does not; its attribute `search` holds
            the search, and `result` the model.
        ModelError: the model cannot be read, run or quantized.
        DataError: the data cannot be read, or do not fit the model.
        MetricError: the metric is unknown, or cannot be computed.
        OptionError: an option has a value that makes no sense.
        StorageError: there is no room for temporary files.

    Example:
        >>> import onnx_evoq
        >>> found = onnx_evoq.search_and_optimize(  # doctest: +SKIP
        ...     "model.onnx", "calib.npz", budget=120_000)
        >>> found.result.save("model.mixed.onnx")  # doctest: +SKIP
    """
    check_limits(
        holdout=holdout, max_drop=max_drop, time_budget=time_budget, tune_budget=tune_budget
    )
    if budget is not None:
        check_whole(budget=budget)

    if policy is not None:
        if budget is not None:
            raise OptionError("a policy is a choice already: leave the budget out.")
        policy = policy if isinstance(policy, ParetoPoint) else policy_from(policy)
    choosing = budget is not None or max_drop is not None
    search_budget, shared = time_budget, tune_budget is None
    if time_budget is not None and shared and choosing:
        search_budget = _SEARCH_SHARE * time_budget
    options = {"budget": budget, "max_drop": max_drop, "policy": described(policy)}

    with kept_run(run_dir, options) as run:
        began = time.monotonic()
        run.needs_more_than(time_budget if shared else None)
        # 1. Search, unless a policy is given.
        search: Search | None = None
        if policy is None:
            search = search_bits(
                model, data, space=space, grid=grid, target=target, metric=metric,
                time_budget=search_budget, holdout=holdout, requantize=requantize,
                score_at=score_at, details=details, seed=seed, resources=resources,
                progress=progress, run_dir=run.inner("search"),
            )  # fmt: skip
            if not choosing:
                run.ended("done" if search.stopped is not Stopped.INTERRUPT else "interrupted")
                return MixedPrecision(search, None, None, search.notes)

        # 2. Choose a point.
        chosen = policy if search is None else search.pick(budget, max_drop)
        assert chosen is not None

        if search is not None and search.stopped is Stopped.INTERRUPT:
            return _unfinished(search, chosen, run)

        # 3. Optimize it. The policy sets the granularity of each weight.
        folder, other = run.inner(_name_of(chosen)), _other_point(run, _name_of(chosen))
        if time_budget is not None and shared:
            left = time_budget - run.spent - (time.monotonic() - began)
            tune_budget = seconds_given(folder) + max(_LEAST, left)
        single = replace(grid, granularity="tensor") if grid.granularity == "any" else grid
        try:
            result = optimize(
                model, data, policy=chosen, max_drop=max_drop, grid=single, target=target,
                metric=metric, time_budget=tune_budget, holdout=holdout, requantize=requantize,
                score_at=score_at, details=details, seed=seed, resources=resources,
                progress=progress, run_dir=folder,
            )  # fmt: skip
        except KeyboardInterrupt:
            if search is None:
                raise
            return _unfinished(search, chosen, run)
        run.ended(state_of_end(result.stopped))
        notes = (*result.notes, *other)
        if search is not None:
            search.check_budget(result, budget)
            notes = (*search.notes, *notes)
        return MixedPrecision(search, chosen, result, tuple(dict.fromkeys(notes)))


def _name_of(chosen: Policy | ParetoPoint) -> str:
    """The name of the folder that keeps the optimization of a point, apart from others."""
    policy = chosen.policy if isinstance(chosen, ParetoPoint) else chosen
    text = json.dumps(policy.to_dict(), sort_keys=True)
    return f"optimize {sha256(text.encode()).hexdigest()[:12]}"


def _other_point(run: Run, name: str) -> tuple[str, ...]:
    """A note if a run goes on with another point than before, whose folder has this name."""
    before = run.recall(_CHOSEN)
    run.note(_CHOSEN, name)
    best = None if before in (None, name) else run.inner(f"{before}/{BEST}")
    if best is None or not best.exists():
        return ()
    return (
        "with more time, the search chose another point, whose optimization began anew: the model "
        f"of the point before is {best}.",
    )


def _unfinished(search: Search, chosen: Policy | ParetoPoint, run: Run) -> MixedPrecision:
    """What an interruption leaves before the chosen point was optimized."""
    run.ended("interrupted")
    return MixedPrecision(search, chosen, None, (*search.notes, _NOT_OPTIMIZED))

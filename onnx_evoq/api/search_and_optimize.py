"""Search for a width for each layer, choose a point of the front, and optimize it."""

from dataclasses import replace

from onnx_evoq.api.job import DataSource, ModelSource, PolicySource
from onnx_evoq.api.optimize import optimize
from onnx_evoq.api.search_bits import ANY_GRANULARITY, DEFAULT_SPACE, SearchSpace, search_bits
from onnx_evoq.errors import BudgetError, OptionError
from onnx_evoq.metrics import MetricName
from onnx_evoq.mixed_precision import ParetoPoint
from onnx_evoq.progress import Progress, silent
from onnx_evoq.report import MixedPrecision, Search
from onnx_evoq.setup import DEFAULT_RESOURCES, Grid, Policy, Resources, policy_from


def search_and_optimize(
    model: ModelSource,
    data: DataSource = None,
    *,
    budget: int | None = None,
    max_drop: float | None = None,
    policy: PolicySource | None = None,
    space: SearchSpace = DEFAULT_SPACE,
    grid: Grid = ANY_GRANULARITY,
    metric: MetricName = "auto",
    time_budget: float | None = 600.0,
    tune_budget: float | None = 240.0,
    holdout: float = 0.25,
    seed: int = 0,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
) -> MixedPrecision:
    """Search for a width for each layer, pick the point that fits, and optimize it.

    It is the same as `search_bits`, then `Search.pick`, then `optimize` with that point.

    Args:
        model: as for `optimize`, as are `data`, `holdout`, `seed`, `resources` and `progress`.
        budget: bytes: the point of the front with the least error that is no larger is optimized.
        max_drop: percent that may be lost, as for `optimize`: the smallest point that loses no
            more is optimized. With both, the smallest that does both.
        policy: a choice that is optimized without a search, as for `optimize`.
        space: as for `search_bits`, as are `grid`, `metric` and `time_budget`.
        tune_budget: seconds that the chosen point is optimized; None for no limit.

    Returns:
        The search, the chosen point, and the model that it became. Without a budget, a drop or a
        policy nothing is chosen.

    Raises:
        BudgetError: no point fits; its attribute `search` holds the front.
        EvoqError: as for `optimize`.

    Example:
        >>> import onnx_evoq
        >>> found = onnx_evoq.search_and_optimize(  # doctest: +SKIP
        ...     "model.onnx", "calib.npz", budget=120_000)
        >>> found.result.save("model.mixed.onnx")  # doctest: +SKIP
    """
    search: Search | None = None
    chosen: Policy | ParetoPoint
    if policy is not None:
        if budget is not None:
            raise OptionError("a policy is a choice already: leave the budget out.")
        chosen = policy if isinstance(policy, ParetoPoint) else policy_from(policy)
    else:
        search = search_bits(
            model, data, space=space, grid=grid, metric=metric, time_budget=time_budget,
            holdout=holdout, seed=seed, resources=resources, progress=progress,
        )  # fmt: skip
        if budget is None and max_drop is None:
            return MixedPrecision(search, None, None, search.notes)
        try:
            chosen = search.pick(budget, max_drop)
        except BudgetError as error:
            error.search = search
            raise
    # The policy says the granularity of each weight.
    usual = replace(grid, granularity="tensor") if grid.granularity == "any" else grid
    result = optimize(
        model, data, policy=chosen, max_drop=max_drop, grid=usual, metric=metric,
        time_budget=tune_budget, holdout=holdout, seed=seed, resources=resources,
        progress=progress,
    )  # fmt: skip
    notes = result.notes
    if search is not None:
        notes = (*search.notes, *search.notes_on(result, budget), *notes)
    return MixedPrecision(search, chosen, result, tuple(dict.fromkeys(notes)))

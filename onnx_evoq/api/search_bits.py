"""Search for the widths of the layers that no others beat in both size and error."""

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np

from onnx_evoq.api.job import DataSource, ModelSource, judged_by
from onnx_evoq.errors import OptionError
from onnx_evoq.metrics import MetricName
from onnx_evoq.mixed_precision import SearchSpaceOptions, hypervolumes, search_front
from onnx_evoq.model import name_of
from onnx_evoq.progress import Progress, silent
from onnx_evoq.report import Search
from onnx_evoq.run import Deadline, Stopped
from onnx_evoq.setup import (
    DEFAULT_RESOURCES,
    MAX_BITS,
    Grid,
    Resources,
    Task,
    bits_of,
    check_choices,
    check_limits,
    check_seed,
    drop_measure,
    open_float_model,
)

ANY_GRANULARITY = Grid(granularity="any")


@dataclass(frozen=True)
class SearchSpace:
    """What a search of widths may choose, and which bytes count.

    Attributes:
        per_channel: whether groups of a layer's channels may have widths of their own, where
            channels have steps of their own.
        expansion: whether channels may be split, where the graph allows it.
        size: "packed" to count codes at their own widths, "file" to count them as an ONNX file
            stores them.

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


DEFAULT_SPACE = SearchSpace()


def search_bits(
    model: ModelSource,
    data: DataSource = None,
    *,
    space: SearchSpace = DEFAULT_SPACE,
    grid: Grid = ANY_GRANULARITY,
    metric: MetricName = "auto",
    time_budget: float | None = 600.0,
    holdout: float = 0.25,
    seed: int = 0,
    resources: Resources = DEFAULT_RESOURCES,
    progress: Progress = silent,
) -> Search:
    """Search for the widths of the layers, and the channels to split, that no others beat.

    NSGA-II (Deb et al. 2002) minimises size and output error together.

    Args:
        model: as for `optimize`, as are `data`, `holdout`, `seed`, `resources` and `progress`.
        space: what may be chosen, and which bytes count.
        grid: the steps of the grid, and the weights that stay float. With granularity "any" each
            layer gets the granularity that pays; uniform widths, which the others are compared
            with, then have one step per tensor.
        metric: what is minimised (or maximised) besides the size, as for `optimize`.
        time_budget: seconds after which nothing new is begun; each layer is quantized at each
            width, and the uniform widths are built, in any case. None for no limit.

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
    if space.per_channel and grid.granularity == "tensor":
        raise OptionError(
            "widths per channel need steps per channel: choose granularity channel or any."
        )
    check_seed(seed)
    check_limits(holdout=holdout, max_drop=None, time_budget=time_budget)
    deadline = Deadline(time_budget)
    rng, search_rng = np.random.default_rng(seed).spawn(2)
    float_model = open_float_model(model, grid.keep)
    job = judged_by(float_model, name_of(model), data, metric, holdout, rng, resources, progress)
    float_model, calibration = job.float_model, job.calibration
    in_file = space.size == "file"
    options = SearchSpaceOptions(
        space.expansion,
        space.per_channel,
        in_file,
        ("tensor", "channel") if grid.granularity == "any" else (grid.granularity,),
    )
    task = Task(
        float_model.model, float_model.weights, bits_of(float_model.weights, MAX_BITS, {}),
        options.granularities[0], grid.scale, calibration.search, calibration.heldout, deadline,
        None, resources, progress,
    )  # fmt: skip
    found = search_front(
        task,
        drop_measure(float_model.model, calibration, resources),
        search_rng,
        options,
    )
    notes = list(job.notes)
    if found.stopped is Stopped.TIME:
        notes.append(
            "the time budget cut the search short: a longer one finds more, and only a search that "
            "runs to its end repeats to the byte."
        )
    elif found.stopped is Stopped.INTERRUPT:
        notes.append("the search was interrupted: the front is what was found until then.")
    return Search(
        source=job.source,
        metric=calibration.metric.name,
        size=space.size,
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

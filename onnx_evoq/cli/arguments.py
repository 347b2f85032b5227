"""Turn the options of the command line into arguments of the Python functions."""

from collections.abc import Callable, Mapping
from typing import Any

import onnx_evoq
from onnx_evoq.progress import Progress, silent
from onnx_evoq.run import bars

# The options that make up each value that the Python functions take.
_DATA = (
    "labels", "split", "samples", "divide", "mean", "std", "layout", "color", "resize", "crop",
    "input_range",
)  # fmt: skip
_GRID = ("granularity", "scale", "keep", "narrow_range", "activations", "activation_scale")
_SPACE = ("per_channel", "expansion", "size")
_STRATEGY = ("init", "population", "generations", "mutation_rate")
_RESOURCES = ("memory", "workers", "custom_ops", "cluster")


def _only_shown(progress: Progress) -> Progress:
    return progress


def arguments_of(
    options: Mapping[str, Any],
    quiet: bool,
    watching: Callable[[Progress], Progress] = _only_shown,
) -> dict[str, Any]:
    """The arguments of a Python function, from the options of its command.

    Options that belong together become one value: `Data`, `Grid`, `SearchSpace`, `Strategy` and
    `Resources`. A value is left out where the command has none of its options.

    Args:
        options: the options by name, as click gives them.
        quiet: whether to show no progress.
        watching: makes the progress one that is logged, too.
    """
    remaining = dict(options)

    def take(names: tuple[str, ...]) -> dict[str, Any]:
        return {name: remaining.pop(name) for name in names if name in remaining}

    arguments: dict[str, Any] = {"progress": watching(silent if quiet else bars)}
    arguments["data"] = onnx_evoq.Data(remaining.pop("data"), **take(_DATA))
    given = remaining.pop("providers")
    providers = None if given is None else [name.strip() for name in given.split(",")]
    arguments["resources"] = onnx_evoq.Resources(providers, **take(_RESOURCES))
    if grid := take(_GRID):
        arguments["grid"] = onnx_evoq.Grid(**grid)
    if space := take(_SPACE):
        arguments["space"] = onnx_evoq.SearchSpace(**space)
    if "strategy" in remaining:
        arguments["strategy"] = onnx_evoq.Strategy(remaining.pop("strategy"), **take(_STRATEGY))
    return {**remaining, **arguments}

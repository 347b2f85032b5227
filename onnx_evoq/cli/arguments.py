"""Options of the command line as arguments of the Python functions."""

from collections.abc import Mapping
from typing import Any

import onnx_evoq
from onnx_evoq.progress import silent
from onnx_evoq.run import bars

# Which options each value of the Python functions is made of.
_DATA = (
    "labels", "split", "samples", "divide", "mean", "std", "layout", "color", "resize", "crop",
    "input_range",
)  # fmt: skip
_GRID = ("granularity", "scale", "keep")
_SPACE = ("per_channel", "expansion", "size")
_STRATEGY = ("init", "population", "generations", "mutation_rate")
_RESOURCES = ("memory", "workers")


def arguments_of(options: Mapping[str, Any], quiet: bool) -> dict[str, Any]:
    """The arguments of a Python function, from the options of its command.

    Options that belong together become one value: `Data`, `Grid`, `SearchSpace`, `Strategy` and
    `Resources`. What a command does not have, its function does not get.

    Args:
        options: by name, as click gives them.
        quiet: whether no progress is shown.
    """
    given = dict(options)

    def taken(names: tuple[str, ...]) -> dict[str, Any]:
        return {name: given.pop(name) for name in names if name in given}

    arguments: dict[str, Any] = {"progress": silent if quiet else bars}
    arguments["data"] = onnx_evoq.Data(given.pop("data"), **taken(_DATA))
    providers = given.pop("providers")
    chosen = None if providers is None else [name.strip() for name in providers.split(",")]
    arguments["resources"] = onnx_evoq.Resources(chosen, **taken(_RESOURCES))
    if grid := taken(_GRID):
        arguments["grid"] = onnx_evoq.Grid(**grid)
    if space := taken(_SPACE):
        arguments["space"] = onnx_evoq.SearchSpace(**space)
    if "strategy" in given:
        arguments["strategy"] = onnx_evoq.Strategy(given.pop("strategy"), **taken(_STRATEGY))
    return {**given, **arguments}

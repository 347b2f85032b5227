"""The public functions with options one by one, as tests give them."""

from collections.abc import Mapping
from typing import Any

import onnx_evoq

GROUPS: Mapping[str, tuple[type, tuple[str, ...]]] = {
    "grid": (
        onnx_evoq.Grid,
        (
            "granularity",
            "scale",
            "keep",
            "narrow_range",
            "activations",
            "activation_scale",
        ),
    ),
    "space": (onnx_evoq.SearchSpace, ("per_channel", "expansion", "size")),
    "resources": (onnx_evoq.Resources, ("memory", "workers", "providers")),
}
STRATEGY = ("init", "population", "generations", "mutation_rate")


def grouped(**options: Any) -> dict[str, Any]:
    """Group the options that belong together into the values that the functions take."""
    given = dict(options)
    for name, (kind, members) in GROUPS.items():
        own = {member: given.pop(member) for member in members if member in given}
        if own:
            given[name] = kind(**own)
    own = {member: given.pop(member) for member in STRATEGY if member in given}
    if own or "strategy" in given:
        given["strategy"] = onnx_evoq.Strategy(given.pop("strategy", "neuroevolution"), **own)
    return given


def optimize(model: Any, data: Any = None, **options: Any) -> onnx_evoq.Result:
    """`onnx_evoq.optimize` without a time budget, so that no result depends on the clock."""
    return onnx_evoq.optimize(model, data, **grouped(**{"time_budget": None, **options}))


def search_bits(model: Any, data: Any = None, **options: Any) -> onnx_evoq.Search:
    """`onnx_evoq.search_bits` without a time budget; any granularity unless one is given."""
    options = {"time_budget": None, "granularity": "any", **options}
    return onnx_evoq.search_bits(model, data, **grouped(**options))

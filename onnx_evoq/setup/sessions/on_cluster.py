"""Let a function run while a cluster is connected."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from onnx_evoq.executors import connected
from onnx_evoq.setup.sessions.resources import Resources, workers_of

ResultT = TypeVar("ResultT")
Parameters = ParamSpec("Parameters")


def on_cluster(function: Callable[Parameters, ResultT]) -> Callable[Parameters, ResultT]:
    """Decorate a function: while it runs, the cluster that its `resources` name is connected.

    Args:
        function: takes `resources` by name, or none at all.
    """

    @functools.wraps(function)
    def with_cluster(*arguments: Parameters.args, **options: Parameters.kwargs) -> ResultT:
        resources = options.get("resources")
        if not isinstance(resources, Resources):  # none, or the function refuses it
            return function(*arguments, **options)
        with connected(resources.cluster, workers_of(resources)):
            return function(*arguments, **options)

    return with_cluster

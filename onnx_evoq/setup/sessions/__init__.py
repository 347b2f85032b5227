"""Opens sessions within the resources that a run may use, and runs models in them."""

from onnx_evoq.setup.sessions.model_run import (
    not_finite,
    open_session,
    own_options,
    run_model,
    with_integer_weights,
)
from onnx_evoq.setup.sessions.on_cluster import on_cluster
from onnx_evoq.setup.sessions.resources import (
    DEFAULT_RESOURCES,
    Resources,
    cache_memory,
    executor_of,
    on_a_worker,
    workers_of,
)

__all__ = [
    "DEFAULT_RESOURCES",
    "Resources",
    "cache_memory",
    "executor_of",
    "not_finite",
    "on_a_worker",
    "on_cluster",
    "open_session",
    "own_options",
    "run_model",
    "with_integer_weights",
    "workers_of",
]

"""Do tasks in this process, in its threads, or on the workers of a cluster.

No other room imports distributed, and no other room knows where a task is done.
"""

from onnx_evoq.executors.opening import check_address, connected, executor_at
from onnx_evoq.executors.tasks import (
    HERE,
    Executor,
    Memory,
    Reference,
    Task,
    TaskSize,
    free_memory,
    used_memory,
)

__all__ = [
    "HERE",
    "Executor",
    "Memory",
    "Reference",
    "Task",
    "TaskSize",
    "check_address",
    "connected",
    "executor_at",
    "free_memory",
    "used_memory",
]

"""Do tasks in this process, in its threads, or on the workers of a cluster.

No other room imports distributed, and no other room knows where a task is done.
"""

from onnx_evoq.executors.executor import Executor, Memory, Reference, Task
from onnx_evoq.executors.machine_memory import free_memory, used_memory
from onnx_evoq.executors.opening import check_address, connected, executor_at
from onnx_evoq.executors.task_size import TaskSize
from onnx_evoq.executors.threads import HERE

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

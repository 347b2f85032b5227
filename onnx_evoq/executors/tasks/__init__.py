"""Tasks, what they refer to, and threads of this process that do them."""

from onnx_evoq.executors.tasks.executor import Executor, Memory, Reference, Task
from onnx_evoq.executors.tasks.local_memory import LocalMemory, Missing
from onnx_evoq.executors.tasks.machine_memory import free_memory, used_memory
from onnx_evoq.executors.tasks.packing import Packed, key_of, packed, parts_of, unpacked
from onnx_evoq.executors.tasks.task_size import TaskSize
from onnx_evoq.executors.tasks.threads import HERE, Threads

__all__ = [
    "HERE",
    "Executor",
    "LocalMemory",
    "Memory",
    "Missing",
    "Packed",
    "Reference",
    "Task",
    "TaskSize",
    "Threads",
    "free_memory",
    "key_of",
    "packed",
    "parts_of",
    "unpacked",
    "used_memory",
]

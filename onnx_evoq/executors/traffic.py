"""What was sent between a run and its workers."""

from dataclasses import dataclass


@dataclass
class Traffic:
    """Bytes that were sent, and the time that workers took.

    Attributes:
        done: tasks whose results came.
        again: tasks that were sent again, since a worker lacked a value or was lost.
        tasks: bytes of tasks.
        values: bytes of values that tasks refer to, once for each worker that got them.
        answers: bytes of results.
        seconds: that workers took for the tasks, in total.
    """

    done: int = 0
    again: int = 0
    tasks: int = 0
    values: int = 0
    answers: int = 0
    seconds: float = 0.0

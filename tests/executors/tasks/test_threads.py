"""Tasks in threads of this process."""

from threading import Barrier, get_ident

from onnx_evoq.executors import HERE, Task
from onnx_evoq.executors.tasks.threads import Threads


def test_a_value_stays_where_it_is() -> None:
    value = [1]
    reference = Threads(2).hold(value)
    (found,) = Threads(2).map(lambda memory, _: memory.value(reference), [Task(0)])
    assert found is value


def test_as_many_tasks_are_done_at_a_time_as_there_are_threads() -> None:
    meeting = Barrier(2)
    tasks = [Task(10), Task(10)]
    assert sorted(Threads(2).map(lambda _, seconds: meeting.wait(seconds), tasks)) == [0, 1]
    assert Threads(2).workers == 2


def test_one_worker_is_this_thread() -> None:
    assert list(HERE.map(lambda memory, _: get_ident(), [Task(0)])) == [get_ident()]
    assert HERE.near is HERE


def test_what_a_task_made_is_there_for_the_next_one() -> None:
    executor, made = Threads(1), []
    tasks = [Task("a"), Task("a"), Task("b")]
    kept = executor.map(lambda m, key: m.made("kind", key, lambda: made.append(key) or key), tasks)
    assert list(kept) == ["a", "a", "b"]
    assert made == ["a", "b"]

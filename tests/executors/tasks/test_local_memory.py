"""The memory of a worker: what it keeps, and what it drops."""

import pytest

from onnx_evoq.executors import Reference
from onnx_evoq.executors.tasks.local_memory import LocalMemory, Missing


def test_a_value_is_found_by_its_key_or_where_it_is() -> None:
    memory = LocalMemory()
    memory.keep("a", 5, size=1)
    assert memory.value(Reference("a")) == 5
    assert memory.value(Reference("b", (6,))) == 6
    assert (memory.has("a"), memory.has("b")) == (True, False)
    with pytest.raises(Missing) as caught:
        memory.value(Reference("b"))
    assert caught.value.key == "b"


def test_values_that_were_not_asked_for_longest_are_dropped() -> None:
    memory = LocalMemory(limit=10)
    for key in "abc":
        memory.keep(key, key, size=3)
    memory.value(Reference("a"))
    memory.keep("b", "b", size=3)  # it is there, and counts as asked for
    memory.keep("d", "d", size=4)
    assert [memory.has(key) for key in "abcd"] == [True, True, False, True]


def test_one_value_is_kept_in_any_case() -> None:
    memory = LocalMemory(limit=10)
    memory.keep("a", "a", size=5)
    memory.keep("b", "b", size=50)
    assert [memory.has(key) for key in "ab"] == [False, True]
    memory.keep("c", "c", size=10)
    assert [memory.has(key) for key in "bc"] == [False, True]


def test_what_was_made_is_kept_as_long_as_it_is_among_the_last() -> None:
    memory, made = LocalMemory(), []

    def get(kind: str, key: str, most: int = 2) -> str:
        return memory.made(kind, key, lambda: made.append(kind + key) or kind + key, most)

    assert [get("x", key) for key in "aba"] == ["xa", "xb", "xa"]
    assert get("y", "a") == "ya"
    get("x", "c")  # b is dropped
    assert made == ["xa", "xb", "ya", "xc"]
    get("x", "a")
    get("x", "b")
    assert made[4:] == ["xb"]


def test_what_is_dropped_is_gone_before_the_next_is_made() -> None:
    memory = LocalMemory()
    alive: list[str] = []

    class Large:
        def __init__(self, name: str) -> None:
            assert alive == []
            alive.append(name)
            self.name = name

        def __del__(self) -> None:
            alive.remove(self.name)

    for name in "ab":
        memory.made("large", name, lambda name=name: Large(name))  # type: ignore[misc]


def test_neighbours_share_the_machine() -> None:
    assert LocalMemory(neighbours=4).share(100) == 25
    assert LocalMemory().share(100) == 100


def test_what_is_forgotten_is_missing_and_made_anew() -> None:
    memory = LocalMemory()
    memory.keep("k", [1], 8)
    made = iter([1, 2])
    assert memory.made("kind", "key", lambda: next(made)) == 1
    memory.forget()
    with pytest.raises(Missing):
        memory.value(Reference("k"))
    assert memory.made("kind", "key", lambda: next(made)) == 2

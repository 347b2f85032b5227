"""What a worker answers: a result, an error, a value that it lacks, or its versions."""

from typing import Any

import pytest
from cluster_tasks import Element, element, failing
from threadpoolctl import threadpool_info

from onnx_evoq.errors import ModelError
from onnx_evoq.executors import Reference, worker_side
from onnx_evoq.executors.tasks.local_memory import LocalMemory
from onnx_evoq.executors.tasks.packing import packed, parts_of, unpacked
from onnx_evoq.executors.worker_side import (
    Answer,
    Order,
    difference,
    perform,
    versions,
)


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> LocalMemory:
    """The memory of a worker that has just begun."""
    made = LocalMemory(limit=0)
    monkeypatch.setattr(worker_side, "_MEMORY", made)
    monkeypatch.setattr(worker_side, "free_memory", lambda: 8000)
    return made


def answer_to(
    function: Any, argument: Any, sent: dict[str, Any] | None = None, **changed: str
) -> Answer:
    order = Order(packed(parts_of((function, argument))[0]), {**versions(), **changed}, 2)
    values = {key: packed(parts_of(value)[0]) for key, value in (sent or {}).items()}
    return perform(order, values)


def blas_threads(memory: Any, _: None) -> set[int]:
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


def test_a_result_is_that_of_the_function() -> None:
    answer = answer_to(element, Element(Reference("k"), 1), {"k": [5, 6]})
    assert answer.result is not None
    assert unpacked(answer.result)[0] == 6
    assert answer.seconds > 0
    assert (answer.raised, answer.missing, answer.unlike) == (None, "", "")


def test_a_value_is_sent_once_and_asked_for_where_it_is_missing() -> None:
    asked = Element(Reference("k"), 0)
    assert answer_to(element, asked).missing == "k"
    answer_to(element, asked, {"k": [5]})
    assert answer_to(element, asked).result is not None


def test_an_error_is_an_answer() -> None:
    answer = answer_to(failing, 2)
    assert isinstance(answer.raised, ModelError)
    assert answer.result is None


def test_other_versions_do_nothing() -> None:
    answer = answer_to(failing, 2, numpy="1.0")
    assert answer.unlike.startswith("numpy ")
    assert answer.unlike.endswith(" instead of 1.0")
    assert answer.raised is None


def test_versions_are_those_on_which_results_depend() -> None:
    assert {"Python", "onnx-evoq", "numpy", "onnx", "onnxruntime", "distributed"} == set(versions())
    assert difference(versions(), versions()) == ""
    assert difference({"a": "1", "b": "2"}, {}) == "a ? instead of 1, b ? instead of 2"


def test_a_worker_keeps_values_in_a_quarter_of_its_share_of_the_free_memory(
    memory: LocalMemory,
) -> None:
    answer_to(failing, 0)
    assert (memory.limit, memory.neighbours) == (1000, 2)


def test_matrix_products_use_one_core() -> None:
    answer = answer_to(blas_threads, None)
    assert answer.result is not None
    assert unpacked(answer.result) <= {1}

"""A bound of memory that is too small for the largest layer is refused before the work."""

import pytest
from graphs import model_of, node, random, task_of

from onnx_evoq.errors import OptionError
from onnx_evoq.model import load
from onnx_evoq.reconstruct import check_memory
from onnx_evoq.reconstruct import memory_check as module
from onnx_evoq.reconstruct.memory_check import matrix_bytes
from onnx_evoq.setup import Resources, Task


def task(memory: int | None) -> Task:
    """x (n, 4) -> "small" (4, 6) -> "large" (6, 30) -> y (n, 30)."""
    nodes = [node("MatMul", ["x", "small"], ["a"]), node("MatMul", ["a", "large"], ["y"])]
    weights = {"small": random(4, 6), "large": random(6, 30)}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 30]}, weights))
    resources = Resources(memory=memory, workers=1)
    return task_of(model, random(8, 4), random(8, 4), resources=resources)


LARGEST = 8 * 6 * (30 + 6)  # bytes
NEEDED = 4 * LARGEST + 2 * 4 * (4 * 6 + 6 * 30)


def test_a_layer_has_its_weight_and_its_hessian() -> None:
    assert matrix_bytes((1, 30, 6)) == LARGEST
    assert matrix_bytes((2, 30, 6)) == 2 * LARGEST


def test_with_few_positions_the_columns_count_instead_of_the_hessian() -> None:
    # 2e11 products bound the positions of 25,088 columns.
    assert matrix_bytes((1, 10, 25_088)) == 8 * 25_088 * (10 + int(2e11 / 25_088**2))


def test_a_bound_that_the_largest_layer_passes_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BESIDE", 0)
    check_memory(task(NEEDED))
    with pytest.raises(OptionError, match=r"cannot hold layer 'large', whose matrices take"):
        check_memory(task(NEEDED - 1))


def test_what_the_process_takes_besides_is_allowed_for() -> None:
    check_memory(task(0))


def test_without_a_bound_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BESIDE", -(10**15))
    check_memory(task(None))


def test_a_bound_that_a_weight_without_a_closed_form_passes_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_BESIDE", 0)
    monkeypatch.setattr(module, "find_layers", lambda model, weights: {})
    needed = 6 * (4 * 6 + 6 * 30)
    check_memory(task(needed))
    with pytest.raises(OptionError, match=r"cannot hold weight 'large', whose floats take"):
        check_memory(task(needed - 1))

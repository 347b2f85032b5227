"""The error with one layer quantized and the layers behind it refitted."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest
from far_workers import FAR, FarWorkers
from graphs import random

from onnx_evoq.array_types import Array
from onnx_evoq.mixed_precision.layer_table import LayerTable
from onnx_evoq.mixed_precision.refits_behind import errors_behind
from onnx_evoq.model import as_network
from onnx_evoq.setup import Resources, Task, model_value

Tabulated = Callable[..., tuple[Task, LayerTable]]


def errors(task: Task, table: LayerTable, cluster: str | None = None) -> list[float]:
    """Those of all layers at the narrowest width, the last layer first."""
    task = replace(task, resources=Resources(workers=1, cluster=cluster))

    def quantized() -> Iterator[tuple[int, Mapping[str, Array]]]:
        for index in reversed(range(len(task.weights))):
            name = task.weights[index].name
            yield index, table.layers.whole(name, table.layers.of[name][0][0][0])

    return list(errors_behind(task, table.layers.model, quantized()))


def plain_error(task: Task, table: LayerTable, index: int) -> float:
    """The error with one layer quantized, and the others as they are."""
    name = task.weights[index].name
    values = table.layers.whole(name, table.layers.of[name][0][0][0])
    model = as_network(table.layers.model).with_values(values)
    return model_value(model, task.search_set.scored_by_relative_error())


@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_layers_behind_compensate_what_they_can(name: str, tabulated: Tabulated) -> None:
    task, table = tabulated(name)
    last, *before = errors(task, table)
    assert last == pytest.approx(plain_error(task, table, len(task.weights) - 1), rel=1e-6)
    assert before[-1] < 0.9 * plain_error(task, table, 0)


@pytest.mark.parametrize("name", ["mlp", "conv", "recurrent"])
def test_workers_find_the_same_bytes(far: FarWorkers, name: str, tabulated: Tabulated) -> None:
    task, table = tabulated(name)
    here = errors(task, table)
    assert not far.asked
    assert errors(task, table, FAR) == here
    assert [asked.index for asked in far.asked] == list(reversed(range(len(task.weights))))


def test_layers_are_taken_as_they_are_needed(tabulated: Tabulated) -> None:
    task, table = tabulated("mlp")
    taken = []

    def quantized() -> Iterator[tuple[int, Mapping[str, Array]]]:
        for index in (1, 0):
            taken.append(index)
            name = task.weights[index].name
            yield index, {name: np.asarray(random(*task.weights[index].shape))}

    found = errors_behind(task, table.layers.model, quantized())
    assert next(found) > 0
    assert taken == [1]

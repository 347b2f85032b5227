"""How many positions a layer's columns and targets are gathered from."""

import numpy as np
import pytest
from graphs import random

from onnx_evoq.batch import Batch
from onnx_evoq.engine.samples.at_layer import AtLayer
from onnx_evoq.engine.samples.gathering import Around, plan_gathering, positions_for
from onnx_evoq.model import Layer
from onnx_evoq.quantize import Dense

LAYER = AtLayer(Layer("w", Dense("...k,kn->...n"), "x", "y", "b"), random(8, 6))


class Given:
    """Tensors of which batches of some samples have five positions each."""

    def __init__(self, name: str, width: int) -> None:
        self._name, self._width = name, width

    def of(self, index: int) -> dict[str, np.ndarray]:
        return {self._name: np.zeros((4, 5, self._width), np.float32)}


def around(count: int, heldout: set[int] = frozenset()) -> Around:  # type: ignore[assignment]
    batches = [Batch({"x": random(4, 5, 8, seed=k)}, 4, 4) for k in range(count)]
    return Around(Given("x", 8), Given("y", 6), batches, heldout)


@pytest.mark.parametrize(
    ("shape", "positions"),
    [
        ((1, 64, 9), 4_096),
        ((1, 64, 64), 4_096),
        ((1, 64, 65), 4_160),
        ((1, 64, 100), 6_400),
        ((1, 64, 576), 30_000),  # as many as are wanted
        ((1, 512, 10_000), 2_000),
        ((256, 1, 9), 4_096),
        ((4096, 1, 9), 2**26 / (4096 * 11)),
    ],
)
def test_few_columns_and_wide_layers_need_fewer_positions(
    shape: tuple[int, int, int], positions: float
) -> None:
    assert positions_for(30_000, shape) == positions
    assert positions_for(100, shape) == 100


@pytest.mark.parametrize(("positions", "each"), [(10**6, 5), (60, 3), (1, 1)])
def test_positions_are_shared_by_the_samples_that_are_fitted_to(positions: int, each: int) -> None:
    given = around(6, {0})
    found = plan_gathering([LAYER], given, positions, 2**26, moments=True)
    assert found is not None
    tensors, targets = given.inputs.of(1), given.outputs.of(1)
    (chunk,) = found.chunks(given.batches[1], tensors, targets, 0, heldout=False)
    assert chunk.columns.shape == (1, 4 * each, 8)
    assert not chunk.heldout


def test_a_batch_is_the_same_wherever_it_is_gathered() -> None:
    given = around(6)
    plans = [plan_gathering([LAYER], given, 60, 2**26, moments=True) for _ in range(2)]
    x, y = {"x": random(4, 5, 8)}, {"y": random(4, 5, 6)}
    (one,), (other,) = (
        plan.chunks(given.batches[2], x, y, 7, heldout=False) for plan in plans if plan is not None
    )
    np.testing.assert_array_equal(one.columns, other.columns)
    np.testing.assert_array_equal(one.targets, other.targets)


@pytest.mark.parametrize(("moments", "few"), [(False, True), (True, False)])
def test_few_positions_need_no_moments(moments: bool, few: bool) -> None:
    found = plan_gathering([LAYER], around(1), 4, 2**26, moments=moments)
    assert found is not None
    assert found.few == few
    assert found.samples().few == few


def test_a_layer_that_has_positions_nowhere_is_not_gathered() -> None:
    class Empty:
        def of(self, index: int) -> dict[str, np.ndarray]:
            return dict.fromkeys("xy", np.zeros((0, 5, 8), np.float32))

    empty = Around(Empty(), Empty(), around(2).batches)
    assert plan_gathering([LAYER], empty, 60, 2**26, moments=True) is None

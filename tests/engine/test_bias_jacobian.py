"""The Jacobian of outputs in biases, against one that is known, and its deadline."""

from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from graphs import model_of, node, random, task_of

from onnx_evoq.engine import bias_jacobian as module
from onnx_evoq.engine.bias_jacobian import jacobian_of_bias, shifted
from onnx_evoq.engine.evaluators import Evaluators
from onnx_evoq.engine.sketch import Sketch
from onnx_evoq.model import initializer_values, load
from onnx_evoq.run import Deadline

BIAS = np.array([1, 2, 3], np.float32)
SPREAD = np.array([1, 20, 0], np.float32)


START = 100.0


class Clock:
    """Each run of the fake evaluator takes `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds, self.evaluations = START, seconds, 0

    def monotonic(self) -> float:
        return self.now

    def answers(
        self, candidates: Iterable[dict[str, np.ndarray]], sketch: Callable[..., Any]
    ) -> Iterator[np.ndarray]:
        for candidate in candidates:
            self.now += self.seconds
            self.evaluations += 1
            yield sketch(candidate["b"])


def outputs(bias: np.ndarray) -> np.ndarray:
    """Two samples with outputs that are linear in the bias: (samples, outputs)."""
    return np.stack([bias @ MATRIX[0], bias @ MATRIX[1]]).astype(np.float64)


MATRIX = random(2, 3, 4, dtype="float64")  # (samples, channels, outputs)


def probed(seconds: float, time_left: float, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The Jacobian with an evaluator that needs so many seconds per run, and four runs to do."""
    clock = Clock(seconds)
    monkeypatch.setattr(module, "time", clock)
    sketch: Any = outputs
    sketch.reference = np.ones((2, 4))
    deadline = Deadline(time_left, clock=clock.monotonic)
    found = jacobian_of_bias(clock, "b", BIAS, SPREAD, sketch, deadline)  # type: ignore[arg-type]
    return SimpleNamespace(found=found, spent=clock.now - START)


def test_differences_are_divided_by_the_shift_of_each_channel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jacobian, errors = probed(0.0, 1.0, monkeypatch).found
    assert jacobian.shape == (2, 3, 4)  # (samples, channels, outputs)
    np.testing.assert_allclose(jacobian[:, :2], MATRIX[:, :2], rtol=1e-5)
    np.testing.assert_allclose(errors, outputs(BIAS) - 1)


def test_a_channel_without_deviation_is_shifted_a_little(monkeypatch: pytest.MonkeyPatch) -> None:
    shifts: list[np.ndarray] = []
    monkeypatch.setattr(module, "shifted", lambda bias, by: shifts.append(by) or shifted(bias, by))
    probed(0.0, 1.0, monkeypatch)
    np.testing.assert_allclose(shifts[0], [0.1, 2, 1e-7])


def test_it_stops_when_the_other_runs_would_take_longer_than_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = probed(2.0, 7.9, monkeypatch)  # after the first run 5.9 s are left for 6 s
    assert result.found is None
    assert result.spent == 2.0


def test_it_goes_on_when_the_other_runs_just_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    result = probed(2.0, 8.0, monkeypatch)
    assert result.found is not None
    assert result.spent == 8.0


def test_the_time_of_a_run_is_the_mean_of_those_done(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slower(Clock):
        def answers(self, candidates: Any, sketch: Any) -> Any:
            for seconds, each in zip(
                (1, 1, 4, 4), super().answers(candidates, sketch), strict=True
            ):
                self.now += seconds
                yield each

    clock = Slower(0.0)
    monkeypatch.setattr(module, "time", clock)
    sketch: Any = outputs
    deadline = Deadline(7.9, clock=clock.monotonic)
    # After the third run the mean is 2 s, and 1.9 s are left.
    assert jacobian_of_bias(clock, "b", BIAS, SPREAD, sketch, deadline) is None  # type: ignore[arg-type]
    assert clock.now == START + 6


def test_runs_that_are_done_at_once_share_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class InTwos(Clock):
        def answers(self, candidates: Any, sketch: Any) -> Any:
            for index, candidate in enumerate(candidates):
                if index % 2 == 0:
                    self.now += 2.0
                    self.evaluations += 2
                yield sketch(candidate["b"])

    clock = InTwos(0.0)
    monkeypatch.setattr(module, "time", clock)
    sketch: Any = outputs
    sketch.reference = np.ones((2, 4))
    # Two of four are done in 2 s, and 2.5 s are left.
    deadline = Deadline(4.5, clock=clock.monotonic)
    assert jacobian_of_bias(clock, "b", BIAS, SPREAD, sketch, deadline) is not None  # type: ignore[arg-type]
    assert clock.now == START + 4


def test_when_the_last_run_is_done_it_does_not_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    class LateAtTheEnd(Clock):
        def answers(self, candidates: Any, sketch: Any) -> Any:
            for index, each in enumerate(super().answers(candidates, sketch)):
                self.now += 100.0 if index == 3 else 0.0
                yield each

    clock = LateAtTheEnd(0.0)
    monkeypatch.setattr(module, "time", clock)
    sketch: Any = outputs
    sketch.reference = np.ones((2, 4))
    deadline = Deadline(1.0, clock=clock.monotonic)
    found = jacobian_of_bias(clock, "b", BIAS, SPREAD, sketch, deadline)  # type: ignore[arg-type]
    assert found is not None
    assert deadline.passed


def test_each_copy_of_a_bias_has_another_channel_shifted() -> None:
    bias = np.array([[1.0], [2.0]], np.float32)  # as an Add behind a convolution holds it
    copies = list(shifted(bias, np.array([0.5, 4.0])))
    assert [copy.tolist() for copy in copies] == [[[1.5], [2.0]], [[1.0], [6.0]]]
    assert bias.tolist() == [[1.0], [2.0]]


def test_of_two_linear_layers_it_is_the_second_weight() -> None:
    first, second = random(4, 3), random(3, 2, seed=1)
    nodes = [node("Gemm", ["x", "w1", "b1"], ["a"]), node("Gemm", ["a", "w2", "b2"], ["y"])]
    weights = {"w1": first, "b1": random(3), "w2": second, "b2": random(2)}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 2]}, weights))
    task = task_of(model, random(10, 4), random(4, 4))
    sketch = Sketch(task.search_set, np.random.default_rng(0))
    (evaluator,) = Evaluators([task.search_set], task.resources).at(model, "b1")
    bias = initializer_values(model, ["b1"])["b1"]
    result = jacobian_of_bias(evaluator, "b1", bias, np.ones(3, np.float32), sketch, Deadline(None))
    assert result is not None
    jacobian, errors = result
    # The sketch divides by the outputs' size, here one number for all of them.
    ratio = jacobian / second[None]  # (samples, channels, outputs)
    np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-3)
    np.testing.assert_allclose(errors, 0, atol=1e-6)

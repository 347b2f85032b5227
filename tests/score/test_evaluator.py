"""Candidates scored by a session that takes the weights as inputs, worked by hand."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from graphs import model_of, node
from numpy.typing import NDArray

from onnx_evoq.batch import Batch
from onnx_evoq.metrics import Criterion, find_metric
from onnx_evoq.score import Evaluator, ModelPart, RunPool, Session
from onnx_evoq.score.evaluator import never

Values = Mapping[str, NDArray[np.float32]]

# Three samples in batches of two: the last one is padded. The output "early" is cached.
BATCHES = [Batch({}, 2, 2), Batch({}, 2, 1)]
TENSORS = [
    {"a": np.float32([[1, 0], [0, 1]]), "early": np.float32([[5], [6]])},
    {"a": np.float32([[1, 1], [9, 9]]), "early": np.float32([[7], [9]])},
]


class SpyPool(RunPool):
    """A run pool that notes the kinds of work."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: list[Hashable] = []

    def do(self, jobs: Sequence[Any], kind: Hashable = None) -> list[list[Any]]:
        self.kinds.append(kind)
        return super().do(jobs, kind)


@pytest.fixture(scope="module")
def session() -> Session:
    """y = a w, of a weight w (2, 1) of float16 that ONNX casts to float32."""
    nodes = [node("Cast", ["w"], ["wide"], to=1), node("MatMul", ["a", "wide"], ["y"])]
    model = model_of(
        nodes, {"a": ["n", 2], "w": [2, 1]}, {"y": ["n", 1]}, {}, dtypes={"w": "float16"}
    )
    return Session(model.SerializeToString())


def evaluator_of(
    session: Session,
    metric: Any = "mse",
    outputs: Sequence[str] = ("y",),
    tensors: Sequence[Any] = TENSORS,
    labels: Any = None,
) -> Evaluator:
    """An evaluator whose reference outputs are zero."""
    reference = [{name: np.zeros((batch.count, 1)) for name in outputs} for batch in BATCHES]
    criterion = Criterion(find_metric(metric), reference, labels)
    part = ModelPart(session, {"w": "float16"}, ["a"], outputs, tensors, BATCHES, criterion)
    return Evaluator(part, SpyPool(), BATCHES, criterion)


def weight(*numbers: float) -> Values:
    return {"w": np.float32(numbers)[:, None]}


def losses(evaluator: Evaluator, *candidates: Values, first: int = 0, end: int = 2) -> list[Any]:
    found = evaluator.losses(candidates, lambda values: values, first, end)
    return [None if each is None else each.tolist() for each in found]


def test_the_value_is_the_mean_over_all_samples(session: Session) -> None:
    evaluator = evaluator_of(session)
    # y is 2, 3 and, without the padding, 5.
    assert evaluator.value(weight(2, 3)) == pytest.approx((4 + 9 + 25) / 3)
    assert evaluator.metric.name == "mse"
    assert evaluator.counts == [2, 1]


def test_each_value_counts_as_an_evaluation(session: Session) -> None:
    evaluator = evaluator_of(session)
    assert evaluator.evaluations == 0
    for _ in range(3):
        evaluator.value(weight(1, 1))
    assert evaluator.evaluations == 3


def test_a_user_metric_gets_the_outputs_of_all_batches(session: Session) -> None:
    def largest(outputs: Any, labels: Any) -> float:
        assert outputs["y"].tolist() == [[2], [3], [5]]
        return float(labels.sum())

    largest.higher_is_better = True  # type: ignore[attr-defined]
    evaluator = evaluator_of(session, largest, labels=np.array([1, 2, 4]))
    assert evaluator.value(weight(2, 3)) == 7
    assert evaluator.evaluations == 1


@pytest.mark.parametrize("user", [False, True])
def test_values_are_those_of_each_candidate_until_the_stop(session: Session, user: bool) -> None:
    def largest(outputs: Any, labels: Any) -> float:
        return float(outputs["y"].max())

    largest.higher_is_better = True  # type: ignore[attr-defined]
    labels = np.zeros(3) if user else None
    evaluator = evaluator_of(session, largest if user else "mse", labels=labels)
    candidates = [weight(k, 3) for k in range(4)]
    expected = [evaluator.value(each) for each in candidates]
    before = evaluator.evaluations
    assert list(evaluator.values(candidates, dict)) == expected
    assert evaluator.evaluations == before + 4
    asked = iter([False] * (2 if user else 6) + [True] * 20)  # of runs, or of candidates
    found = list(evaluator.values(candidates, dict, lambda: next(asked)))
    assert 0 < len(found) < 4
    assert found == expected[: len(found)]


def test_losses_are_those_of_each_sample_and_candidate(session: Session) -> None:
    found = losses(evaluator_of(session), weight(2, 3), weight(1, 0))
    assert found == [[4, 9, 25], [1, 0, 1]]


@pytest.mark.parametrize(
    ("first", "end", "expected"), [(0, 1, [4, 9]), (1, 2, [25]), (0, 2, [4, 9, 25])]
)
def test_losses_may_be_those_of_some_batches(
    session: Session, first: int, end: int, expected: list[float]
) -> None:
    assert losses(evaluator_of(session), weight(2, 3), first=first, end=end) == [expected]


def test_a_candidate_counts_once_as_it_goes_on_to_more_batches(session: Session) -> None:
    evaluator = evaluator_of(session)
    losses(evaluator, weight(1, 1), weight(2, 2), end=1)
    losses(evaluator, weight(1, 1), first=1)
    assert evaluator.evaluations == 2


@pytest.mark.parametrize(
    ("calls", "expected", "made"),
    [
        (0, [None, None], 0),
        (1, [None, None], 1),
        (2, [None, None], 1),
        (3, [[1, 1, 4], None], 1),
        (4, [[1, 1, 4], None], 2),
        (9, [[1, 1, 4], [4, 4, 16]], 2),
    ],
)
def test_candidates_that_are_not_done_at_the_stop_have_no_losses(
    session: Session, calls: int, expected: list[Any], made: int
) -> None:
    evaluator, asked = evaluator_of(session), 0
    computed = []

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > calls

    def values_of(candidate: float) -> Values:
        computed.append(candidate)
        return weight(candidate, candidate)

    found = evaluator.losses([1.0, 2.0], values_of, 0, 2, stop)
    assert [None if each is None else each.tolist() for each in found] == expected
    assert computed == [1.0, 2.0][:made]
    assert evaluator.evaluations == made


def test_by_default_nothing_stops() -> None:
    assert never() is False


def test_answers_apply_a_function_to_all_outputs_batch_by_batch(session: Session) -> None:
    evaluator, seen = evaluator_of(session, outputs=("early", "y")), []

    def read(outputs: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float64]:
        seen.append(list(outputs))
        return np.asarray(outputs["early"] * 10 + outputs["y"], np.float64)

    def candidates() -> Iterator[Values]:
        yield weight(2, 3)
        yield weight(0, 0)
        raise AssertionError("one candidate too early")

    found = evaluator.answers(candidates(), read)
    assert next(found).tolist() == [[52], [63], [75]]
    assert evaluator.evaluations == 1
    assert next(found).tolist() == [[50], [60], [70]]
    assert evaluator.evaluations == 2
    assert seen == [["early", "y"]] * 4  # in the model's order


def test_cached_activations_are_read_once_per_run(session: Session) -> None:
    read = []

    class Store(list[Any]):
        def __getitem__(self, index: Any) -> Any:
            read.append(index)
            return super().__getitem__(index)

    evaluator_of(session, outputs=("early", "y"), tensors=Store(TENSORS)).value(weight(1, 1))
    assert read == [0, 1]


def test_only_work_of_the_same_cost_is_of_the_same_kind(session: Session) -> None:
    evaluator = evaluator_of(session)
    evaluator.value(weight(1, 1))
    losses(evaluator, weight(1, 1))
    losses(evaluator, weight(1, 1), weight(1, 1))
    losses(evaluator, weight(1, 1), end=1)
    losses(evaluator, weight(1, 1), first=1)
    list(evaluator.answers([weight(1, 1)], lambda outputs: np.zeros(1)))
    kinds = evaluator._pool.kinds  # type: ignore[attr-defined]
    assert kinds[0] == kinds[1]
    assert len(set(kinds)) == 5
    assert None not in kinds

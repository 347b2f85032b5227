"""Calibration: two sets of samples with the float model's outputs, and a metric."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from graphs import mlp, model_of, node, random
from onnx import ModelProto

from onnx_evoq.data import Data
from onnx_evoq.errors import DataError, MetricError, ModelError
from onnx_evoq.model import load
from onnx_evoq.run import NO_DEADLINE, Deadline
from onnx_evoq.setup import Resources, model_value, prepare_calibration
from onnx_evoq.setup import calibration as module
from onnx_evoq.setup.calibration import Calibration
from onnx_evoq.setup.scoring import drawn_otherwise
from onnx_evoq.setup.scoring.scoring_set import Measured

X = random(40, 4, seed=3)
LABELS = np.random.default_rng(0).integers(0, 3, size=40)


def calibration(
    data: object = None, metric: str | Callable[..., float] = "auto", holdout: float | None = 0.25
) -> Calibration:
    given = Data({"x": X, "y": LABELS} if data is None else data)  # type: ignore[arg-type]
    return prepare_calibration(
        load(mlp()), "m.onnx", given, metric, holdout, np.random.default_rng(0)
    )


def test_search_and_heldout_samples_are_disjoint_and_complete() -> None:
    ready = calibration()
    rows = [
        {tuple(row) for batch in part.batches for row in batch.feed["x"][: batch.count]}
        for part in (ready.search_set, ready.heldout_set)
    ]
    assert [len(part) for part in rows] == [30, 10]
    assert rows[0] | rows[1] == {tuple(row) for row in X}


def test_without_a_holdout_all_samples_score() -> None:
    ready = calibration(holdout=None)
    assert ready.search_set.samples == ready.heldout_set.samples == 40


def test_auto_is_the_output_error_whatever_the_labels() -> None:
    assert calibration().metric.name == "mse"


def test_auto_is_scale_free_where_there_are_several_outputs() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Relu", ["a"], ["b"])]
    outputs = {"a": ["n", 3], "b": ["n", 3]}
    model = load(model_of(nodes, {"x": ["n", 4]}, outputs, {"w": random(4, 3)}))
    ready = prepare_calibration(model, "m", Data(X), "auto", 0.25, np.random.default_rng(0))
    assert ready.metric.name == "channel_nmse"


def test_both_sets_have_the_layouts_of_all_outputs() -> None:
    ready = calibration()
    layouts = ready.search_set.criterion.layouts
    assert layouts is not None
    assert layouts is ready.heldout_set.criterion.layouts
    every = np.concatenate(
        [
            part["logits"]
            for s in (ready.search_set, ready.heldout_set)
            for part in s.criterion.reference or ()
        ]
    )
    assert layouts["logits"].power == pytest.approx(every.var(axis=0, ddof=1).mean(), rel=1e-5)


def test_auto_is_agreement_for_outputs_that_are_no_floats() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("ArgMax", ["a"], ["y"], axis=1, keepdims=0)]
    kinds = {"y": "int64"}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n"]}, {"w": random(4, 3)}, dtypes=kinds))
    ready = prepare_calibration(model, "m", Data(X), "auto", 0.25, np.random.default_rng(0))
    assert ready.metric.name == "agreement"


def test_labels_are_classes_if_they_number_the_scores_of_the_output() -> None:
    assert calibration().has_classes
    assert not calibration(X).has_classes


def test_labels_of_a_model_without_class_scores_are_no_classes() -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    model = load(model_of(nodes, {"x": ["n", 2, 4]}, {"y": ["n", 2, 3]}, {"w": random(4, 3)}))
    data = Data({"x": random(40, 2, 4), "y": LABELS})
    ready = prepare_calibration(model, "m", data, "auto", 0.25, np.random.default_rng(0))
    assert not ready.has_classes
    assert ready.notes == ()


@pytest.mark.parametrize(
    ("classes", "right", "noted"), [(1, 24, True), (1, 25, False), (3, 15, True), (3, 17, False)]
)
def test_a_top1_hardly_better_than_guessing_is_noted(classes: int, right: int, noted: bool) -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    weights = {"w": random(4, classes)}
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", classes]}, weights))
    scores = X @ weights["w"]
    answers = scores.argmax(axis=1) if classes > 1 else (scores[:, 0] > 0).astype(int)
    labels = np.where(np.arange(40) < right, answers, (answers + 1) % max(classes, 2))
    ready = prepare_calibration(
        model, "m", Data({"x": X, "y": labels}), "auto", None, np.random.default_rng(0)
    )
    text = f"the float model's top-1 is {2.5 * right:.1f} % on these data"
    assert any(note.startswith(text) for note in ready.notes) == noted
    assert len(ready.notes) == noted


@pytest.mark.parametrize(("samples", "noted"), [(28, True), (32, False)])
def test_fewer_than_8_heldout_samples_are_noted(samples: int, noted: bool) -> None:
    notes = calibration(X[:samples]).notes
    assert notes == (
        ("only 21 samples select and 7 accept, which is too few to trust a result: give a few "
         "hundred.",) if noted else ()
    )  # fmt: skip


def test_a_model_that_draws_random_numbers_is_refused() -> None:
    nodes = [node("RandomNormalLike", ["x"], ["r"]), node("Add", ["x", "r"], ["y"])]
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, {}))
    with pytest.raises(ModelError, match=r"m\.onnx: gives other outputs each time it is run"):
        prepare_calibration(model, "m.onnx", Data(X), "auto", 0.25, np.random.default_rng(0))


@pytest.mark.parametrize("difference", [1.1e-4, np.nan])
def test_two_runs_may_differ_by_rounding_only(
    monkeypatch: pytest.MonkeyPatch, difference: float
) -> None:
    monkeypatch.setattr(module, "largest_difference", lambda ours, theirs: 1e-4)
    calibration()
    monkeypatch.setattr(module, "largest_difference", lambda ours, theirs: difference)
    with pytest.raises(ModelError, match="gives other outputs each time"):
        calibration()


def test_labels_out_of_range_are_a_mistake() -> None:
    with pytest.raises(DataError, match="labels range from 0 to 9, but the model has 3 classes"):
        calibration({"x": X, "y": np.arange(40) % 10})


def test_a_users_metric_may_read_any_labels() -> None:
    def own(outputs: dict, labels: np.ndarray) -> float:
        return float(labels.max())

    own.higher_is_better = True  # type: ignore[attr-defined]
    ready = calibration({"x": X, "y": np.arange(40)}, own)
    assert not ready.has_classes
    assert model_value(load(mlp()), ready.heldout_set) <= 39


def test_a_metric_that_is_nan_for_the_float_model_is_refused() -> None:
    def own(outputs: dict, labels: np.ndarray) -> float:
        return float("nan")

    own.higher_is_better = True  # type: ignore[attr-defined]
    with pytest.raises(MetricError, match="'own' returns NaN for the float model's outputs"):
        calibration(metric=own)


def test_a_float_model_that_answers_nan_is_refused() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Log", ["a"], ["y"])]
    model = load(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, {"w": random(4, 3)}))
    with pytest.raises(ModelError, match=r"m\.onnx: output 'y' is NaN .*check the preprocessing"):
        prepare_calibration(model, "m.onnx", Data(X), "auto", 0.25, np.random.default_rng(0))


def test_a_model_without_inputs_is_refused() -> None:
    model = load(model_of([node("Relu", ["w"], ["y"])], {}, {"y": [3]}, {"w": random(3)}))
    with pytest.raises(ModelError, match="takes no inputs"):
        prepare_calibration(model, "m", Data(), "auto", 0.25, np.random.default_rng(0))


@pytest.mark.parametrize("labels", [np.linspace(-2, 2, 40), np.eye(3)[np.arange(40) % 3]])
def test_labels_that_are_no_classes_are_noted_where_none_are_needed(labels: np.ndarray) -> None:
    ready = calibration({"x": X, "y": labels})
    assert not ready.has_classes
    assert any("the labels are no class numbers" in note for note in ready.notes)


def test_labels_that_are_no_classes_are_refused_where_some_are_needed() -> None:
    with pytest.raises(DataError, match="hold no class numbers: give one whole number per sample"):
        calibration({"x": X, "y": np.linspace(-2, 2, 40)}, "top1")


def test_outputs_that_memory_cannot_hold_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "free_memory", lambda: 4 * 12 * 12)  # 12 rows of 3 floats
    monkeypatch.setattr(module, "choose_batch_size", lambda *_: lambda group: 4)
    ready = calibration(X, "mse")
    assert ready.search_set.samples == 16
    assert any("samples are used, since the memory allows no more." in n for n in ready.notes)


def selecting() -> ModelProto:
    """The rows of x w of some samples, as a flag says that is an input."""
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Compress", ["a", "flags"], ["y"], axis=0)]
    inputs = {"x": [6, 4], "flags": [6]}
    kinds = {"flags": "bool"}
    return load(model_of(nodes, inputs, {"y": None}, {"w": random(4, 3)}, dtypes=kinds))


def test_rows_may_be_as_many_as_an_input_says() -> None:
    flags = np.random.default_rng(1).random((12, 6)) < 0.5
    data = Data({"x": random(12, 6, 4), "flags": flags})
    ready = prepare_calibration(selecting(), "m", data, "auto", None, np.random.default_rng(0))
    reference = ready.search_set.criterion.reference
    assert reference is not None
    assert [part["y"].size // 3 for part in reference] == flags.sum(axis=1).tolist()


def test_rows_of_a_custom_operator_must_not_vary() -> None:
    flags = np.random.default_rng(1).random((12, 6)) < 0.5
    data = Data({"x": random(12, 6, 4), "flags": flags})
    with pytest.raises(ModelError, match="output 'y' changes its shape") as raised:
        prepare_calibration(
            selecting(), "m", data, "auto", None, np.random.default_rng(0), custom=["y"]
        )
    assert raised.value.varying == "y"


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time; each run takes a second, of two samples."""
    seconds, predict = [0.0], module.predict

    def slow(*arguments: Any) -> Iterator[Any]:
        for outputs in predict(*arguments):
            seconds[0] += 1
            yield outputs

    monkeypatch.setattr(module, "predict", slow)
    monkeypatch.setattr(module, "choose_batch_size", lambda *_: lambda group: 2)
    return seconds


def within(deadline: Deadline, holdout: float | None = 0.25) -> Calibration:
    return prepare_calibration(
        load(mlp()), "m.onnx", Data({"x": X, "y": LABELS}), "auto", holdout,
        np.random.default_rng(0), Resources(workers=1), deadline=deadline,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "search", "heldout"), [(60, 16, 4), (0, 2, 2), (12, 4, 2), (90, 24, 6)]
)
def test_as_many_samples_are_used_as_a_sixth_of_the_time_allows(
    now: list[float], seconds: float, search: int, heldout: int
) -> None:
    # Of 10 seconds, the held-out set gets a quarter: the search set has 7.5, which is 8 runs.
    ready = within(Deadline(seconds, lambda: now[0]))
    assert (ready.search_set.samples, ready.heldout_set.samples) == (search, heldout)
    used = f"{search + heldout} of 40 samples are used, since the time budget allows no more."
    assert used in ready.notes
    for part in (ready.search_set, ready.heldout_set):
        assert len(part.batches) == len(part.criterion.reference or ()) == part.samples / 2
        assert len(part.criterion.labels) == part.samples  # type: ignore[arg-type]


def test_samples_that_are_left_out_are_the_last_ones(now: list[float]) -> None:
    whole, cut = within(NO_DEADLINE), within(Deadline(60, lambda: now[0]))
    for name in ("search_set", "heldout_set"):
        all_of_them, some = getattr(whole, name), getattr(cut, name)
        for one, other in zip(all_of_them.batches, some.batches, strict=False):
            np.testing.assert_array_equal(one.feed["x"], other.feed["x"])
        labels = some.criterion.labels
        np.testing.assert_array_equal(all_of_them.criterion.labels[: some.samples], labels)


@pytest.mark.parametrize("deadline", [NO_DEADLINE, Deadline(10**6)])
def test_with_enough_time_all_samples_are_used(now: list[float], deadline: Deadline) -> None:
    ready = within(deadline)
    assert (ready.search_set.samples, ready.heldout_set.samples) == (30, 10)
    assert not any("time budget" in note for note in ready.notes)


def test_without_a_holdout_the_one_set_has_all_of_the_sixth(now: list[float]) -> None:
    assert within(Deadline(60, lambda: now[0]), None).search_set.samples == 20


def test_the_seconds_of_a_sample_are_measured(
    now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    assert within(NO_DEADLINE).seconds == 0.5


def test_a_share_of_the_samples_has_the_first_of_both_sets(now: list[float]) -> None:
    ready = within(NO_DEADLINE)
    half = ready.first(0.5)
    assert (half.search_set.samples, half.heldout_set.samples) == (16, 6)  # in whole batches
    assert half.search_set.batches == ready.search_set.batches[:8]
    assert (half.metric, half.has_classes, half.notes) == (ready.metric, True, ready.notes)
    least = ready.first(1e-9)
    assert (least.search_set.samples, least.heldout_set.samples) == (2, 2)
    assert ready.first(1.0) is ready


@pytest.mark.parametrize(("batch", "samples"), [("n", 4), (3, 3), (16, 16)])
def test_a_few_samples_are_in_a_batch_of_their_own(batch: int | str, samples: int) -> None:
    ready = prepare_calibration(
        load(mlp(batch=batch)), "m", Data(X), "auto", 0.25, np.random.default_rng(0)
    )
    assert ready.few is not None
    assert (ready.few.count, ready.few.size) == (samples, samples)
    first = ready.search_set.batches[0].feed["x"]
    np.testing.assert_array_equal(ready.few.feed["x"][:3], first[:3])


def test_samples_that_are_drawn_otherwise_are_run_when_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran = list[int]()
    original = drawn_otherwise.predict

    def counted(session: Any, batches: Any, workers: int) -> Iterator[Any]:
        ran.append(len(batches))
        return original(session, batches, workers)

    monkeypatch.setattr(drawn_otherwise, "predict", counted)
    found = prepare_calibration(
        load(mlp()), "m.onnx", Data(), "auto", 0.25, np.random.default_rng(0)
    )
    assert found.otherwise is not None
    assert ran == []
    sets = found.otherwise.sets(NO_DEADLINE)
    assert len(sets) == len(ran) > 1
    assert sets[0].samples == found.search_set.samples


def test_given_samples_are_no_guess() -> None:
    assert calibration().otherwise is None


def test_a_job_that_goes_on_plans_with_the_memory_that_it_began_with() -> None:
    given = load(mlp()), "m", Data(X), "auto", 0.25
    bound = Resources(memory=10**12)
    began = prepare_calibration(*given, np.random.default_rng(0), bound)
    assert 0.9e12 < began.memory < 1e12
    measured = Measured(began.seconds, (2, 1), 77)
    assert prepare_calibration(*given, np.random.default_rng(0), measured=measured).memory == 77

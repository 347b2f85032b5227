"""A sketch keeps the distances between outputs in a few numbers per sample."""

from collections.abc import Mapping

import numpy as np
import pytest
from graphs import random

from onnx_evoq.engine.sketch import Sketch, float_outputs
from onnx_evoq.metrics import Criterion, find_metric
from onnx_evoq.setup.scoring import ScoringSet

Parts = list[Mapping[str, np.ndarray]]


def sketch_of(parts: Parts, seed: int = 0) -> Sketch:
    """A sketch for outputs of a float model, given for each batch."""
    scoring = ScoringSet([], Criterion(find_metric("sqnr"), parts, None))
    return Sketch(scoring, np.random.default_rng(seed))


def test_only_outputs_of_floats_are_sketched() -> None:
    parts = [{"y": random(3, 4), "k": np.arange(3), "h": random(3, 2, dtype="float16")}]
    scoring = ScoringSet([], Criterion(find_metric("agreement"), parts, None))
    assert float_outputs(scoring) == ["y", "h"]
    assert sketch_of(parts).size == 6


def test_few_values_are_divided_by_their_root_mean_square_and_size() -> None:
    parts = [{"y": random(2, 5)}, {"y": random(2, 5, seed=1)}]
    power = np.mean([np.square(part["y"]).mean() for part in parts])
    sketch = sketch_of(parts)
    expected = np.concatenate([part["y"] for part in parts]) / np.sqrt(5 * power)
    np.testing.assert_allclose(sketch.reference, expected, rtol=1e-5)
    assert sketch.size == 5
    np.testing.assert_allclose(sketch({"y": 2 * parts[0]["y"]}), 2 * expected[:2], rtol=1e-5)


def test_32_values_are_not_projected() -> None:
    outputs = random(1, 32)
    expected = outputs / np.sqrt(np.square(outputs).sum())
    np.testing.assert_allclose(sketch_of([{"y": outputs}]).reference, expected, rtol=1e-5)


def test_outputs_of_zeros_stay_finite() -> None:
    sketch = sketch_of([{"y": np.zeros((2, 4), np.float32)}])
    np.testing.assert_array_equal(sketch.reference, 0)
    np.testing.assert_allclose(sketch({"y": np.full((1, 4), 1e-16)}), 0.1, rtol=1e-5)


def test_all_outputs_count_the_same() -> None:
    small, large = random(50, 4), 1000 * random(50, 8, seed=1).reshape(50, 2, 4)
    sketch = sketch_of([{"a": small, "b": large}])
    zeros = [{"a": 0 * small, "b": large}, {"a": small, "b": 0 * large}]
    lost = [np.square(sketch(each) - sketch.reference).sum(axis=1).mean() for each in zeros]
    assert lost == pytest.approx([1, 1], rel=1e-4)


@pytest.mark.parametrize(("values", "size"), [(32, 32), (33, 32), (200, 32)])
def test_there_are_32_numbers_per_sample_at_most(values: int, size: int) -> None:
    sketch = sketch_of([{"y": random(3, values)}])
    assert sketch.size == size
    assert sketch.reference.shape == (3, size)


def test_distances_of_many_values_are_kept_on_average() -> None:
    outputs, others = random(40, 300), random(40, 300, seed=1)
    ratios = []
    for seed in range(8):
        sketch = sketch_of([{"y": outputs}], seed)
        scaled = np.square(outputs - others).sum(axis=1) / (300 * np.square(outputs).mean())
        distances = np.square(sketch({"y": outputs}) - sketch({"y": others})).sum(axis=1)
        ratios.append(distances / scaled)
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)
    assert 0.1 < np.std(ratios) < 0.4  # sqrt(2 / 32) = 0.25 for independent directions


def test_outputs_that_differ_are_told_apart() -> None:
    # Their values have the same sum, so that directions which are all equal would not see it.
    one = np.zeros((1, 40), np.float32)
    one[0, 3] = 1
    other = np.roll(one, 5, axis=1)
    sketch = sketch_of([{"y": random(10, 40)}])
    difference = sketch({"y": one}) - sketch({"y": other})
    assert len(np.unique(np.abs(difference))) > 1
    assert (np.abs(difference) > 0).any()


def test_the_numbers_of_a_sketch_are_independent() -> None:
    sketch = sketch_of([{"y": random(2000, 64)}])
    correlations = np.corrcoef(sketch.reference.T)
    assert np.linalg.matrix_rank(sketch.reference) == 32
    assert np.abs(correlations - np.eye(32)).max() < 0.7


def test_the_same_seed_draws_the_same_directions() -> None:
    parts: Parts = [{"y": random(3, 50)}]
    np.testing.assert_array_equal(sketch_of(parts).reference, sketch_of(parts).reference)
    assert (sketch_of(parts).reference != sketch_of(parts, 1).reference).any()


def test_channels_of_unlike_power_count_alike_if_the_metric_tells_them_apart() -> None:
    y = random(40, 5, 3) * [100, 100, 1]
    scoring = ScoringSet([], Criterion(find_metric("channel_nmse"), [{"y": y}], None))
    sketch = Sketch(scoring, np.random.default_rng(0))
    expected = (y / np.sqrt(15 * y.var(axis=0, ddof=1).mean(axis=0))).reshape(40, 15)
    np.testing.assert_allclose(sketch.reference, expected, rtol=1e-5)


def test_outputs_of_several_sizes_have_a_sketch_of_one_size() -> None:
    parts = [{"y": random(2, length, 4, seed=length)} for length in (3, 8, 20)]
    sketch = sketch_of(parts)
    assert sketch.reference.shape == (6, 32)
    assert (sketch.reference[:2, 12:] == 0).all()  # 12 values, which are not projected
    np.testing.assert_allclose(sketch(parts[2]), sketch.reference[4:])
    # As in the metric, a sample counts the same whatever its length.
    of_each = [np.square(own).sum(axis=1).mean() for own in np.split(sketch.reference, 3)]
    assert of_each == pytest.approx([1, 1, 1], rel=0.5)


def test_few_values_of_several_sizes_are_not_projected() -> None:
    assert sketch_of([{"y": random(1, 3)}, {"y": random(1, 5)}]).size == 5

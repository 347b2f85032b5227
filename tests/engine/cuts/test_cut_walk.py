"""A walk from cut to cut, whose activations stay with the workers."""

from typing import Any

from far_workers import FAR, FarWorkers
from graphs import conv_net, random

from onnx_evoq.batch import make_batches
from onnx_evoq.engine.activation_cache import ActivationCache
from onnx_evoq.engine.cuts import CutWalk, Shards
from onnx_evoq.engine.cuts.stage import tensors_at
from onnx_evoq.executors import Task
from onnx_evoq.model import cut_at, fold_batch_norm, input_specs, load, replace_weights
from onnx_evoq.setup import Resources

MODEL, _ = fold_batch_norm(load(conv_net()))
BATCHES = make_batches({"x": random(20, 3, 8, 8)}, input_specs(MODEL), 4)
HERE, THERE = Resources(workers=1), Resources(workers=1, cluster=FAR)


def walk(far: FarWorkers) -> CutWalk:
    return CutWalk(BATCHES, THERE, 1.0, Shards(BATCHES, far, 1))


def values(memory: Any, asked: tuple[Any, Any]) -> Any:
    return dict(tensors_at(memory, *asked))


def assert_like_here(far: FarWorkers, found: Any, walk: CutWalk, expected: Any) -> None:
    """The tensors that workers have are those of this process, to the bit."""
    tasks = [
        Task((found.stage, batch), walk.shards.home(index))
        for index, batch in enumerate(walk.shards.batches)
    ]
    for one, other in zip(far.map(values, tasks), expected, strict=True):
        assert one.keys() == other.keys()
        for name, array in one.items():
            assert array.tobytes() == other[name].tobytes()


def test_the_tensors_are_those_of_this_process_at_each_cut(far: FarWorkers) -> None:
    cache, there = ActivationCache(BATCHES, HERE), walk(far)
    changed = replace_weights(MODEL, {"w2": random(6, 6, 3, 3, seed=5)})
    for model, weight in ((MODEL, "w2"), (changed, "w3"), (MODEL, "w3")):
        cut = cut_at(model, weight)
        expected, found = cache.crossing(model, cut), there.crossing(model, cut)
        assert_like_here(far, found, there, expected)
        for one, other in zip(found.tensors, expected, strict=True):
            assert {n: (t.dtype, t.shape) for n, t in one.items()} == {
                n: (t.dtype, t.shape) for n, t in other.items()
            }


def test_a_worker_that_lost_its_state_has_the_same_tensors_again(far: FarWorkers) -> None:
    cache, there = ActivationCache(BATCHES, HERE), walk(far)
    for weight in ("w2", "w3"):
        cut = cut_at(MODEL, weight)
        expected, found = cache.crossing(MODEL, cut), there.crossing(MODEL, cut)
    far.lose(0)
    far.lose(1)
    assert_like_here(far, found, there, expected)


def test_nothing_crosses_a_cut_at_the_first_layer(far: FarWorkers) -> None:
    found = walk(far).crossing(MODEL, cut_at(MODEL, "w1"))
    assert found.stage is None
    assert list(found.tensors) == [{}] * 5
    assert far.asked == []


def test_the_same_cut_is_computed_once_and_a_later_one_from_it(far: FarWorkers) -> None:
    there = walk(far)
    first = there.crossing(MODEL, cut_at(MODEL, "w2"))
    count = len(far.asked)
    assert there.crossing(MODEL, cut_at(MODEL, "w2")) is first
    assert len(far.asked) == count
    second = there.crossing(MODEL, cut_at(MODEL, "w3"))
    assert second.stage is not None
    assert second.stage.here[0].before is first.stage
    earlier = there.crossing(MODEL, cut_at(MODEL, "w2"))
    assert earlier.stage is not None
    assert earlier.stage.here[0].before is None


def test_a_worker_may_use_what_is_asked_for_with_one_core(far: FarWorkers) -> None:
    resources = Resources(memory=500, workers=7, cluster=FAR)
    there = CutWalk(BATCHES, resources, 1.0, Shards(BATCHES, far, 1))
    assert there.resources == Resources(memory=500, workers=1)

"""The activations at a cut on a worker: kept, spilled, or computed again by the same parts."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from far_workers import FarWorkers
from graphs import mlp, random

from onnx_evoq.batch import Batch, make_batches
from onnx_evoq.engine.cuts import hold_network, stage
from onnx_evoq.engine.cuts.shards import Shards
from onnx_evoq.engine.cuts.stage import Stage, look, tensors_at
from onnx_evoq.executors import Reference, Task
from onnx_evoq.model import bridge, cut_at, input_specs, load
from onnx_evoq.setup import Resources
from onnx_evoq.signature import TensorSpec

MODEL = load(mlp())
X = random(10, 4)
BATCHES = make_batches({"x": X}, input_specs(MODEL), 4)


def stages(far: FarWorkers, memory: int | None = None, share: float = 1.0) -> Any:
    """The stage at the activation of the first layer, and the one behind the bias of the second."""
    cut = cut_at(MODEL, "second")
    assert cut.prefix is not None
    resources = Resources(memory=memory, workers=1)

    def held(before: Any, part: Any) -> Reference[Stage]:
        return far.hold(Stage("w", before, hold_network(far, part), "it", resources, share))

    first = held(None, cut.prefix)
    specs = [TensorSpec("c", np.dtype("float32"), (None, 6))]
    behind = bridge(MODEL, specs, ["logits"])
    return first, held(first, behind)


def values(memory: Any, asked: tuple[Any, Any]) -> Any:
    return dict(tensors_at(memory, *asked))


def at(far: FarWorkers, place: Any, batch: Batch) -> dict[str, np.ndarray]:
    (found,) = far.map(values, [Task((place, far.hold(batch)), home="here")])
    return found  # type: ignore[no-any-return]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first operator of each part that is loaded."""
    found, original = [], stage.open_session

    def noting(part: Any, *arguments: Any) -> Any:
        found.append(part.graph.node[0].op_type)
        return original(part, *arguments)

    monkeypatch.setattr(stage, "open_session", noting)
    return found


def test_nothing_crosses_at_the_inputs(far: FarWorkers) -> None:
    assert at(far, None, BATCHES[0]) == {}


def test_a_stage_is_computed_from_the_one_before(far: FarWorkers, opened: list[str]) -> None:
    first, second = stages(far)
    one = at(far, first, BATCHES[0])
    assert list(one) == ["c"]
    two = at(far, second, BATCHES[0])
    assert list(two) == ["logits"]
    assert len(opened) == 2
    again = at(far, second, BATCHES[0])
    assert again["logits"].tobytes() == two["logits"].tobytes()
    assert len(opened) == 2


def test_a_worker_that_comes_late_goes_through_the_same_parts(
    far: FarWorkers, opened: list[str]
) -> None:
    first, second = stages(far)
    at(far, first, BATCHES[1])
    expected = at(far, second, BATCHES[1])
    count = len(opened)
    far.lose(0)
    found = at(far, second, BATCHES[1])
    assert found["logits"].tobytes() == expected["logits"].tobytes()
    assert opened[count:] == opened[:count]


def test_a_worker_describes_what_it_keeps(far: FarWorkers) -> None:
    first, _ = stages(far)
    seen = look(Shards(BATCHES, far, 2), [first] * 3, range(3))
    assert len(far.asked) == 2  # one for each shard
    assert [(each["c"].dtype, each["c"].shape) for each in seen] == [
        (np.float32, (4, 6)),
        (np.float32, (4, 6)),
        (np.float32, (2, 6)),
    ]


@pytest.mark.parametrize(
    ("memory", "limit"), [(1000, 250), (None, 125)], ids=["given", "of the free memory"]
)
def test_activations_have_their_share_of_the_memory(
    far: FarWorkers, monkeypatch: pytest.MonkeyPatch, memory: int | None, limit: int
) -> None:
    limits, original = [], stage.TensorStore

    def noting(limit: int) -> Any:
        limits.append(limit)
        return original(limit)

    monkeypatch.setattr(stage, "TensorStore", noting)
    monkeypatch.setattr(stage, "cache_memory", lambda resources: 1000)
    far.memories[0].neighbours = 2
    first, _ = stages(far, memory, share=0.5)
    at(far, first, BATCHES[0])
    assert limits == [limit]


def test_the_last_stage_is_kept_and_the_one_that_it_is_computed_from(
    far: FarWorkers, opened: list[str]
) -> None:
    first, second = stages(far)
    part, resources = second.here[0].part, Resources(workers=1)
    third = far.hold(Stage("w", first, part, "another", resources, 1.0))
    for place in (first, second, third):
        at(far, place, BATCHES[0])
    walk = far.memories[0].made("activations of a walk", "w", dict)
    assert list(walk._kept) == [first.key, third.key]  # type: ignore[attr-defined]
    # The third one needs the same part as the second, whose session is there.
    assert len(opened) == 2


def test_samples_of_each_chain_have_stages_of_their_own(far: FarWorkers) -> None:
    first, second = stages(far)
    value = second.here[0]
    others = [far.hold(replace(value, before=None, part=first.here[0].part, chain=1))]
    others.append(far.hold(replace(value, before=others[0], chain=1)))
    for place in (first, second):
        at(far, place, BATCHES[0])
    for place in others:
        at(far, place, BATCHES[1])
    walk = far.memories[0].made("activations of a walk", "w", dict)
    kept = [each.key for each in (first, second, *others)]
    assert list(walk._kept) == kept  # type: ignore[attr-defined]


def test_a_stage_keeps_what_it_is_told(far: FarWorkers) -> None:
    first, second = stages(far)
    both = far.hold(replace(second.here[0], keeps=("c", "logits")))
    assert list(at(far, both, BATCHES[0])) == ["c", "logits"]
    whole = at(far, first, BATCHES[0])["c"]
    assert at(far, both, BATCHES[0])["c"].tobytes() == whole.tobytes()


def test_a_session_is_of_the_command_that_asks(far: FarWorkers, opened: list[str]) -> None:
    first, _ = stages(far)
    other = replace(first.here[0], walk="v", resources=Resources(workers=1, providers=["cpu"]))
    at(far, first, BATCHES[0])
    at(far, far.hold(other), BATCHES[0])
    assert len(opened) == 2
    at(far, far.hold(replace(other, walk="u")), BATCHES[0])
    assert len(opened) == 2

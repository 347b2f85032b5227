"""The part of a model between two of its cuts."""

import pytest
from graphs import conv_net, random

from onnx_evoq.batch import make_batches
from onnx_evoq.engine.cuts.batch_tensors import BatchTensors, run_on
from onnx_evoq.engine.cuts.part_between import part_between, same_prefix
from onnx_evoq.model import Cut, Model, cut_at, fold_batch_norm, input_specs, load, replace_weights
from onnx_evoq.setup import Resources, open_session

MODEL = fold_batch_norm(load(conv_net()))[0]
FIRST, SECOND, THIRD = (cut_at(MODEL, name) for name in ("w1", "w2", "w3"))
BATCHES = make_batches({"x": random(4, 3, 8, 8)}, input_specs(MODEL), 4)


def known_at(cut: Cut) -> BatchTensors:
    """The model's inputs and the tensors at a cut."""
    assert cut.prefix is not None
    session = open_session(cut.prefix, Resources(workers=1), "a part")
    return BatchTensors(BATCHES, [run_on(session, batch.feed) for batch in BATCHES])


def changed(name: str, *shape: int) -> Model:
    return replace_weights(MODEL, {name: random(*shape, seed=11)})


def test_it_goes_from_one_cut_to_the_next() -> None:
    known = known_at(SECOND)
    part = part_between(MODEL, SECOND, THIRD, known)
    assert part is not None
    assert {node.op_type for node in part.model.graph.node} <= {
        "Conv", "Relu", "Add", "GlobalAveragePool", "Flatten", "Identity"
    }  # fmt: skip
    assert sum(node.op_type == "Conv" for node in part.model.graph.node) == 1
    found = run_on(open_session(part, Resources(workers=1), "a part"), known[0])
    expected = known_at(THIRD)[0]
    for name in THIRD.prefix_outputs:
        assert found[name] == pytest.approx(expected[name], rel=1e-5, abs=1e-6)


def test_a_change_behind_the_first_cut_is_in_it() -> None:
    model = changed("w2", 6, 6, 3, 3)
    assert part_between(model, SECOND, cut_at(model, "w3"), known_at(SECOND)) is not None


def test_there_is_none_behind_a_change() -> None:
    model = changed("w1", 6, 3, 3, 3)
    assert part_between(model, SECOND, cut_at(model, "w3"), known_at(SECOND)) is None


def test_there_is_none_back_to_an_earlier_cut() -> None:
    assert part_between(MODEL, THIRD, SECOND, known_at(THIRD)) is None


def test_there_is_none_from_the_inputs() -> None:
    assert part_between(MODEL, FIRST, SECOND, BatchTensors(BATCHES, [{}])) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (SECOND, cut_at(MODEL, "w2"), True),
        (SECOND, THIRD, False),
        (FIRST, FIRST, False),  # nothing is before it
        (SECOND, cut_at(changed("w2", 6, 6, 3, 3), "w2"), True),
        (SECOND, cut_at(changed("w1", 6, 3, 3, 3), "w2"), False),
    ],
)
def test_parts_before_cuts_are_the_same_with_the_same_values(
    one: Cut, other: Cut, same: bool
) -> None:
    assert same_prefix(one, other) == same

"""Networks put together from roundings of their layers."""

from collections.abc import Sequence

import numpy as np
from graphs import conv_net, random, rounded, task_of
from numpy.typing import NDArray

from onnx_evoq.array_types import Codes
from onnx_evoq.evolve.network_codes.code_vector import CodeVector
from onnx_evoq.evolve.network_codes.rounding_choice import choose_roundings, roundings
from onnx_evoq.model import as_network, fold_batch_norm, load
from onnx_evoq.reconstruct.layer_by_layer import QuantizedModel, reconstruct_layers

START = CodeVector(rounded(fold_batch_norm(load(conv_net()))[0], 3))
OTHERS = {
    name: [np.full_like(weight.codes, way) for way in (1, 2)]
    for name, weight in START.weights.items()
}


def scorer_for(target: Codes) -> "DistanceScorer":
    return DistanceScorer(target)


class DistanceScorer:
    """Scores networks by their distance from a target; keeps how many it saw each turn."""

    def __init__(self, target: Codes, turns: int = 99) -> None:
        self.target, self.turns, self.seen = target, turns, list[int]()

    def __call__(self, candidates: Sequence[Codes], turn: int) -> NDArray[np.float64] | None:
        if turn >= self.turns:
            return None
        self.seen.append(len(candidates))
        return np.array([float(np.abs(codes - self.target).sum()) for codes in candidates])


def mixed(**ways: int) -> Codes:
    codes = START.codes
    for name, way in ways.items():
        codes[START.slices[name]] = way
    return codes


def test_each_layer_gets_the_rounding_that_is_best_among_the_others() -> None:
    target = mixed(w1=1, w2=2, w3=1)
    assert (choose_roundings(START, OTHERS, scorer_for(target)) == target).all()


def test_a_layer_may_stay_as_it_is() -> None:
    target = mixed(w2=2)
    assert (choose_roundings(START, OTHERS, scorer_for(target)) == target).all()


def test_first_all_layers_are_rounded_alike_and_then_one_after_the_other() -> None:
    scorer = scorer_for(START.codes)
    choose_roundings(START, OTHERS, scorer)
    assert scorer.seen == [3, 4, 4, 4]  # the network as it is, and two or three others


def test_out_of_time_the_codes_chosen_so_far_are_returned() -> None:
    target = mixed(w1=1, w2=2, w3=1)
    assert (choose_roundings(START, OTHERS, DistanceScorer(target, turns=0)) == START.codes).all()
    partly = choose_roundings(START, OTHERS, DistanceScorer(target, turns=1))
    alike = [mixed(w1=way, w2=way, w3=way) for way in (1, 2)]
    assert any((partly == whole).all() for whole in alike)


def test_without_other_roundings_the_network_stays() -> None:
    assert (choose_roundings(START, {}, scorer_for(mixed(w1=1))) == START.codes).all()


def test_only_layers_that_were_rounded_have_other_roundings() -> None:
    model, _ = fold_batch_norm(load(conv_net()))
    task = task_of(model, random(24, 3, 8, 8), random(8, 3, 8, 8), bits=3)
    start = QuantizedModel(as_network(model), rounded(model, 3), {}, ())
    assert set(roundings(task, start)) == {"w1", "w2", "w3"}
    assert roundings(task, reconstruct_layers(task, np.random.default_rng(0))) == {}

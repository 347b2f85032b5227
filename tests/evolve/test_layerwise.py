"""Evolution layer by layer: what is kept, what is counted, and when it stops."""

from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, random, rounded, scoring_set

from onnx_evoq.errors import OptionError
from onnx_evoq.evolve import Evolved
from onnx_evoq.evolve.layerwise import SearchSettings, evolve_layers
from onnx_evoq.metrics import Target, find_metric
from onnx_evoq.model import Model, Quantized, fold_batch_norm, load, serialize, with_codes
from onnx_evoq.progress import stepping
from onnx_evoq.run import Deadline
from onnx_evoq.score import Session, predict
from onnx_evoq.setup import model_value
from onnx_evoq.setup.scoring_set import ScoringSet

ORDER = ["w3", "w1", "w2"]
SETTINGS = SearchSettings(population=6, generations=5, mutation_rate=0.05)


@dataclass
class Setting:
    model: Model
    start: Quantized
    within_max_drop: Quantized
    search: ScoringSet
    heldout: ScoringSet

    def evolve(self, settings: SearchSettings | None = SETTINGS, **options: Any) -> Evolved:
        rngs = dict(zip(ORDER, np.random.default_rng(0).spawn(3), strict=True))
        rest = options.pop("rest", self.start)
        options.setdefault("deadline", Deadline(None))
        return evolve_layers(
            self.model, rest, self.start, ORDER, self.search, self.heldout, settings, rngs,
            **options,
        )  # fmt: skip

    def values(self, quantized: Quantized) -> tuple[float, float]:
        model = with_codes(self.model, quantized)
        return model_value(model, self.search), model_value(model, self.heldout)


@pytest.fixture
def setting() -> Setting:
    model, _ = fold_batch_norm(load(conv_net()))
    search, heldout = (
        scoring_set(model, {"x": random(12, 3, 8, 8, seed=seed)}, 8) for seed in (1, 2)
    )
    return Setting(model, rounded(model, 3), rounded(model, 8), search, heldout)


def test_it_lowers_the_error_on_both_sets(setting: Setting) -> None:
    evolved = setting.evolve()
    before, after = setting.values(setting.start), setting.values(evolved.quantized)
    assert after[0] < before[0]
    assert after[1] < before[1]
    assert evolved.stopped is None


def test_each_layer_reports_the_whole_models_scores(setting: Setting) -> None:
    evolved = setting.evolve()
    final = setting.values(evolved.quantized)
    last = evolved.layers[ORDER[-1]].after
    assert (last["search"], last["heldout"]) == pytest.approx(final, rel=1e-4)
    # a layer starts where the one before it ended
    for earlier, later in pairwise(ORDER):
        assert evolved.layers[later].before == pytest.approx(
            evolved.layers[earlier].after, rel=1e-4
        )


def test_no_layer_is_worse_than_its_start_on_the_heldout_set(setting: Setting) -> None:
    # One sample to search on: much of what is found there is worse elsewhere.
    narrow = ScoringSet(
        setting.search.batches[:1], Target(
            setting.search.target.metric, setting.search.target.reference[:1], None
        ),
    )  # fmt: skip
    evolved = Setting(
        setting.model, setting.start, setting.within_max_drop, narrow, setting.heldout
    ).evolve()
    for name, scores in evolved.layers.items():
        assert scores.after["heldout"] <= scores.before["heldout"], name


def test_a_result_that_is_worse_on_the_heldout_set_is_dropped(setting: Setting) -> None:
    # The held-out set wants what the start answers, so that every move is for the worse.
    start = with_codes(setting.model, setting.start)
    answers = list(predict(Session(serialize(start)), setting.heldout.batches))
    target = Target(find_metric("mse"), answers, None)
    content = ScoringSet(setting.heldout.batches, target)
    evolved = Setting(
        setting.model, setting.start, setting.within_max_drop, setting.search, content
    ).evolve()
    for name in ORDER:
        assert (evolved.quantized[name][0] == setting.start[name][0]).all()
        assert evolved.layers[name].after == evolved.layers[name].before


def test_codes_stay_on_their_grid(setting: Setting) -> None:
    for name, (codes, grid) in setting.evolve().quantized.items():
        assert grid == setting.start[name][1]
        assert grid.low <= codes.min() <= codes.max() <= grid.high


def test_the_same_seed_gives_the_same_codes(setting: Setting) -> None:
    one, two = setting.evolve().quantized, setting.evolve().quantized
    assert all((one[name][0] == two[name][0]).all() for name in ORDER)


def test_every_candidate_is_counted(setting: Setting) -> None:
    # per layer the start, 5 generations of 6, and start and best on the held-out set
    assert setting.evolve().evaluations == 3 * (1 + 5 * 6 + 2)


def test_without_settings_nothing_is_searched(setting: Setting) -> None:
    evolved = setting.evolve(settings=None)
    assert evolved.evaluations == 0
    assert all(evolved.quantized[name] is setting.start[name] for name in ORDER)


def test_when_time_is_over_the_rest_is_taken_as_it_starts(setting: Setting) -> None:
    evolved = setting.evolve(deadline=Deadline(0))
    assert evolved.stopped == "time"
    assert evolved.evaluations == 0
    assert all((evolved.quantized[name][0] == setting.start[name][0]).all() for name in ORDER)


def test_a_deadline_passes_between_candidates(setting: Setting) -> None:
    ticks = iter(range(1000))
    # One tick at each look: when it starts, when it takes a share of the time, at each candidate
    deadline = Deadline(20, clock=lambda: next(ticks))
    evolved = setting.evolve(deadline=deadline)
    assert evolved.stopped == "time"
    assert 3 < evolved.evaluations < 20
    assert set(evolved.quantized) == set(ORDER)


def test_an_interrupt_within_the_guard_takes_nothing(setting: Setting) -> None:
    def max_drop_check(quantized: Quantized) -> bool:
        if any(grid.bits == 3 for _, grid in quantized.values()):
            raise KeyboardInterrupt
        return True

    evolved = setting.evolve(rest=setting.within_max_drop, max_drop_check=max_drop_check)
    assert evolved.stopped == "interrupt"
    assert evolved.layers == {}
    assert evolved.left_out == tuple(ORDER)
    assert evolved.evaluations == 1 + 5 * 6 + 2


def test_an_interrupt_keeps_what_was_found(setting: Setting) -> None:
    steps = []

    def impatient(amount: float) -> None:
        steps.append(amount)
        if len(steps) > 9:  # 7 steps per layer: within the second
            raise KeyboardInterrupt

    evolved = setting.evolve(progress=lambda label, total: nullcontext(impatient))
    assert evolved.stopped == "interrupt"
    assert list(evolved.layers) == ["w3"]
    assert set(evolved.quantized) == set(ORDER)
    assert evolved.evaluations > 1 + 5 * 6 + 2  # those of the second layer count too


def test_progress_adds_up_to_the_number_of_layers(setting: Setting) -> None:
    total: list[float] = []
    setting.evolve(progress=lambda label, amount: nullcontext(total.append))
    assert sum(total) == pytest.approx(3)
    assert list(stepping([1, 2], total.append)) == [1, 2]


def test_a_guard_that_objects_leaves_the_rest_at_the_safe_width(setting: Setting) -> None:
    seen = []

    def max_drop_check(quantized: Quantized) -> bool:
        narrow = [name for name in ORDER if quantized[name][1].bits == 3]
        seen.append(narrow)
        return len(narrow) < 2

    evolved = setting.evolve(rest=setting.within_max_drop, max_drop_check=max_drop_check)
    assert seen == [[], ["w3"], ["w3", "w1"]]
    assert {name: grid.bits for name, (_, grid) in evolved.quantized.items()} == {
        "w3": 3,
        "w1": 8,
        "w2": 8,
    }
    assert evolved.left_out == ("w1", "w2")
    assert list(evolved.layers) == ["w3"]
    assert evolved.within_max_drop


def test_a_guard_that_objects_to_the_safe_width_stops_at_once(setting: Setting) -> None:
    evolved = setting.evolve(rest=setting.within_max_drop, max_drop_check=lambda quantized: False)
    assert not evolved.within_max_drop
    assert {grid.bits for _, grid in evolved.quantized.values()} == {8}
    assert evolved.evaluations == 0


def test_a_guard_works_without_a_search(setting: Setting) -> None:
    evolved = setting.evolve(
        settings=None, rest=setting.within_max_drop, max_drop_check=lambda quantized: True
    )
    assert all(grid.bits == 3 for _, grid in evolved.quantized.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population": 0}, "population 0 is empty"),
        ({"generations": -1}, "generations -1 is negative"),
        ({"mutation_rate": 0.0}, r"mutation_rate 0\.0 is no probability"),
        ({"mutation_rate": 1.5}, r"mutation_rate 1\.5 is no probability"),
        ({"doubt": -0.5}, r"doubt -0\.5 is negative"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        SearchSettings(**options)

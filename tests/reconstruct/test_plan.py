"""Plans of the work on layers, with a clock that the tests set."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from onnx_evoq.quantize import EFFORTS, FULL, Effort
from onnx_evoq.reconstruct.plan import LayerSize, Plan, samples_in_time
from onnx_evoq.run import NO_DEADLINE, Deadline

SHORT, FEEDBACK = EFFORTS[1:]
SMALL, LARGE = LayerSize(1, 64, 576), LayerSize(1, 512, 4608)


class Machine:
    """Does a plan's work so many times slower than expected, on a clock of its own."""

    def __init__(self, slowness: float = 1.0) -> None:
        self.slowness, self.now = slowness, 0.0

    def clock(self) -> float:
        return self.now

    def plan(self, sizes: Sequence[LayerSize], seconds: float | None, best: Effort = FULL) -> Plan:
        return Plan(sizes, Deadline(seconds, self.clock), best, self.clock)

    def run(self, sizes: Sequence[LayerSize], seconds: float | None) -> list[Effort | None]:
        """The efforts that the layers got."""
        plan, efforts = self.plan(sizes, seconds), []
        for size in sizes:
            efforts.append(plan.effort())
            if efforts[-1] is not None:
                self.now += size.seconds(efforts[-1]) * self.slowness
            plan.done(efforts[-1])
        return efforts


def seconds_of(sizes: Sequence[LayerSize], effort: Effort) -> float:
    """The time for layers, as a plan expects it."""
    return sum(size.seconds(effort) for size in sizes)


@pytest.mark.parametrize("size", [SMALL, LARGE, LayerSize(32, 1, 9), LayerSize(1, 10, 25_088)])
def test_more_effort_is_more_work(size: LayerSize) -> None:
    seconds = [size.seconds(effort) for effort in EFFORTS]
    assert seconds[0] > seconds[1] > seconds[2] > 0


def test_larger_layers_and_more_samples_are_more_work() -> None:
    for effort in EFFORTS:
        work = SMALL.seconds(effort)
        for larger in (LayerSize(2, 64, 576), LayerSize(1, 128, 576), LayerSize(1, 64, 1152)):
            assert larger.seconds(effort) > work
        assert LayerSize(1, 64, 576, running=7.0).seconds(effort) == work + 7


def test_without_a_deadline_all_layers_get_full_effort() -> None:
    sizes = [SMALL, LARGE, SMALL]
    assert Machine(slowness=1e9).run(sizes, None) == [FULL] * 3
    plan = Plan(sizes, NO_DEADLINE)
    for _ in sizes:
        plan.done(plan.effort())
    assert plan.cut == ""


@pytest.mark.parametrize("effort", EFFORTS)
def test_each_layer_gets_the_most_effort_that_all_layers_have_time_for(effort: Effort) -> None:
    sizes = [SMALL, LARGE, SMALL, LARGE]
    seconds = seconds_of(sizes, effort) / 0.92  # a part of the time is left for wrong predictions
    assert Machine().plan(sizes, seconds * 1.001).effort() == effort
    first = Machine().plan(sizes, seconds * 0.999).effort()
    assert first in [*EFFORTS[EFFORTS.index(effort) + 1 :], None] or effort is FEEDBACK


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_all_layers_end_in_time_and_the_last_one_gets_its_due(share: float) -> None:
    sizes = [SMALL, LARGE] * 4
    machine = Machine()
    seconds = share * seconds_of(sizes, FULL)
    efforts = machine.run(sizes, seconds)
    assert None not in efforts
    assert machine.now <= seconds
    assert machine.now > 0.4 * seconds  # and use much of it
    *_, last = efforts
    assert last is not None
    before = machine.now - seconds_of(sizes[-1:], last)
    for more in EFFORTS[: EFFORTS.index(last)]:
        assert before + seconds_of(sizes[-1:], more) > seconds


@pytest.mark.parametrize("slowness", [10.0, 3.0, 0.3])
def test_the_slowness_of_the_machine_is_learnt(slowness: float) -> None:
    sizes = [SMALL] * 24
    machine = Machine(slowness)
    seconds = 1.5 * seconds_of(sizes, SHORT) * slowness
    efforts = machine.run(sizes, seconds)
    assert None not in efforts[-12:]
    assert machine.now <= 1.02 * seconds
    assert machine.now > 0.5 * seconds


def test_where_nothing_fits_layers_that_take_more_than_twice_their_due_are_rounded() -> None:
    sizes = [LARGE, *[SMALL] * 4]
    needed = seconds_of(sizes, FEEDBACK)
    assert Machine().plan(sizes, 0.7 * needed).effort() is None
    assert Machine().plan(sizes, 0.0).effort() is None
    assert Machine().plan([SMALL] * 4, 0.6 * seconds_of([SMALL] * 4, FEEDBACK)).effort() == FEEDBACK
    assert Machine().plan([SMALL] * 4, 0.4 * seconds_of([SMALL] * 4, FEEDBACK)).effort() is None


def test_where_the_least_effort_nearly_fits_even_large_layers_get_it() -> None:
    sizes = [LARGE, *[SMALL] * 4]
    assert Machine().plan(sizes, 0.8 * seconds_of(sizes, FEEDBACK)).effort() == FEEDBACK


def test_the_least_effort_may_take_a_little_longer() -> None:
    efforts = Machine(1.02).run([SMALL] * 20, seconds_of([SMALL] * 20, FEEDBACK))
    assert efforts == [FEEDBACK] * 20


def test_few_samples_leave_time_for_all_layers() -> None:
    def sizes(samples: int) -> list[LayerSize]:
        return [replace(SMALL, running=0.0005 * samples, available=10.0 * samples)] * 10

    seconds = seconds_of(sizes(100), FEEDBACK)
    taken = samples_in_time(sizes, 500, seconds)
    assert 32 < taken < 100
    assert seconds_of(sizes(taken), FEEDBACK) <= 0.92 * seconds
    assert samples_in_time(sizes, 40, seconds) == 40
    assert samples_in_time(sizes, 500, 0.5 * seconds_of(sizes(32), FEEDBACK)) == 16  # are enough
    assert samples_in_time(sizes, 500, 2.1 * sum(s.running for s in sizes(7))) == 7  # runs alone
    assert samples_in_time(sizes, 500, 0.0) == 1


def test_positions_that_there_are_not_take_no_time() -> None:
    some, all_of_them = (replace(LARGE, available=float(n)) for n in (2_000, 200_000))
    assert some.seconds(FULL) < 0.5 * LARGE.seconds(FULL)
    assert all_of_them.seconds(FULL) == LARGE.seconds(FULL)


def test_time_that_rounding_saves_is_for_the_layers_behind() -> None:
    sizes = [LARGE, LARGE, SMALL]
    efforts = Machine().run(sizes, 1.01 * seconds_of([SMALL], FEEDBACK))
    assert efforts == [None, None, FEEDBACK]


def test_no_layer_gets_more_than_the_best_effort() -> None:
    best = Effort(positions=5000, activation_rounds=0)
    machine = Machine()
    assert machine.plan([SMALL], None, best).effort() == best
    seconds = seconds_of([SMALL], best)
    less = machine.plan([SMALL], 0.5 * seconds, best).effort()
    assert less is not None
    assert less.positions <= 5000


def test_what_was_cut_is_counted_and_said() -> None:
    plan = Plan([SMALL] * 7, NO_DEADLINE)
    for effort in (FULL, SHORT, SHORT, FEEDBACK, None, None, None):
        plan.done(effort)
    assert plan.cut == (
        "to save time, of 7 layers 2 have a shorter reconstruction and 1 have rounding with "
        "feedback only and 3 are rounded to the nearest codes."
    )


@pytest.mark.parametrize("seconds", [None, 600.0])
def test_once_a_deadline_has_come_early_all_layers_left_are_rounded(seconds: float | None) -> None:
    ended: list[bool] = []
    deadline = Deadline(seconds).unless(lambda: bool(ended))
    plan = Plan([LayerSize(1, 8, 9), LayerSize(1, 8, 9)], deadline)
    assert plan.effort() is not None
    plan.done(FULL)
    ended.append(True)
    assert plan.effort() is None


def test_layers_that_are_done_together_count_as_if_one_after_the_other() -> None:
    def planned(layers: int) -> Plan:
        machine = Machine(slowness=3.0)
        sizes = [SMALL, LARGE, SMALL, LARGE, LARGE]
        plan = machine.plan(sizes, 10.0 * seconds_of(sizes, FULL))
        for start in range(0, 4, layers):
            effort = plan.effort()
            assert effort == FULL
            machine.now += machine.slowness * seconds_of(sizes[start : start + layers], FULL)
            plan.done(effort, layers=layers)
        return plan

    one, other = planned(1), planned(4)
    assert one._done == other._done == 4
    assert one._slowness == pytest.approx(other._slowness)
    assert one._slowness > 1
    assert one.effort() == other.effort()

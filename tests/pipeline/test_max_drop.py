"""The narrowest widths within an allowed drop: bisection over models that are made up."""

from collections.abc import Mapping

import pytest

from onnx_evoq.model import Model, Network, Runnable, as_network
from onnx_evoq.pipeline.max_drop import Narrowest, narrowest_within_drop
from onnx_evoq.quantize import Bits
from onnx_evoq.reconstruct.layer_by_layer import QuantizedModel
from onnx_evoq.run import Deadline

ORDER = [f"w{k}" for k in range(11)]  # least sensitive first
BITS = dict.fromkeys(ORDER, 3)


class Builder:
    """Builds models whose description names their weights at 8 bits, and counts these weights.

    The build number `interrupted` says that it was interrupted.
    """

    def __init__(self, interrupted: int | None = None) -> None:
        self.built: list[int] = []
        self.told: list[bool] = []  # that an interruption came before
        self._interrupted = interrupted

    def __call__(self, bits: Mapping[str, Bits], ended: bool) -> tuple[QuantizedModel, bool]:
        self.told.append(ended)
        wide = [name for name, width in bits.items() if width == 8]
        self.built.append(len(wide))
        built = QuantizedModel(Network(Model(doc_string=" ".join(wide))), {}, {}, ())
        return built, len(self.built) == self._interrupted


def wide_in(model: Runnable) -> list[str]:
    return as_network(model).model.doc_string.split()


def needing(count: int, build: Builder | None = None, seconds: float | None = None) -> Narrowest:
    """The result where so many weights must be at 8 bits."""
    return narrowest_within_drop(
        ORDER, BITS, build or Builder(), lambda m: len(wide_in(m)) >= count, Deadline(seconds)
    )


@pytest.mark.parametrize("count", [0, 1, 2, 5, 8, 10, 11])
def test_the_fewest_weights_within_the_drop_stay_at_8_bits(count: int) -> None:
    allowed = needing(count)
    assert allowed.within_max_drop
    assert allowed.left_out == tuple(ORDER[11 - count :])  # the most sensitive
    assert wide_in(allowed.quantized_model.model) == list(allowed.left_out)
    assert [name for name, width in allowed.bits.items() if width == 8] == list(allowed.left_out)


def test_bisection_finds_how_many() -> None:
    build = Builder()
    needing(7, build)
    assert build.built == [0, 11, 5, 8, 6, 7]


def test_a_model_within_the_drop_at_once_is_built_once() -> None:
    build = Builder()
    assert needing(0, build).bits == BITS
    assert build.built == [0]


def test_where_even_8_bits_drop_too_much_all_weights_have_them() -> None:
    build = Builder()
    allowed = needing(12, build)
    assert not allowed.within_max_drop
    assert allowed.left_out == tuple(ORDER)
    assert build.built == [0, 11]


def test_widths_of_their_own_are_kept() -> None:
    bits = {**BITS, "w0": 5, "w10": 8}
    allowed = narrowest_within_drop(
        ORDER, bits, Builder(), lambda m: len(wide_in(m)) > 1, Deadline(None)
    )
    assert allowed.bits == {**bits, "w9": 8}


def test_a_weight_that_stays_at_8_bits_has_them_in_all_channels() -> None:
    bits = {**BITS, "w0": (2, 3), "w10": (4, 8)}
    allowed = narrowest_within_drop(
        ORDER, bits, Builder(), lambda m: len(wide_in(m)) > 0, Deadline(None)
    )
    assert allowed.bits == {**bits, "w10": 8}


def test_out_of_time_the_narrowest_widths_so_far_are_kept() -> None:
    build = Builder()
    allowed = needing(3, build, seconds=0)
    assert (allowed.left_out, allowed.stopped) == (tuple(ORDER), "time")
    assert build.built == [0, 11]


def test_within_its_time_nothing_is_stopped() -> None:
    assert needing(3).stopped is None


def test_an_interrupt_keeps_the_narrowest_widths_so_far() -> None:
    def impatient(model: Model) -> bool:
        if len(wide_in(model)) == 2:
            raise KeyboardInterrupt
        return len(wide_in(model)) > 1

    allowed = narrowest_within_drop(ORDER, BITS, Builder(), impatient, Deadline(None))
    assert allowed.stopped == "interrupt"
    assert wide_in(allowed.quantized_model.model) == list(allowed.left_out) == ORDER[-5:]


@pytest.mark.parametrize(
    ("interrupted", "built", "left_out"),
    [(1, [0, 11], 11), (3, [0, 11, 5], 5), (4, [0, 11, 5, 2], 5)],
)
def test_a_build_that_was_interrupted_is_the_last_attempt(
    interrupted: int, built: list[int], left_out: int
) -> None:
    build = Builder(interrupted)
    narrowest = needing(3, build)
    assert narrowest.stopped == "interrupt"
    assert build.built == built
    assert len(narrowest.left_out) == left_out
    assert narrowest.within_max_drop


def test_an_interrupted_build_within_the_drop_is_kept() -> None:
    narrowest = needing(0, Builder(interrupted=1))
    assert (narrowest.left_out, narrowest.stopped) == ((), "interrupt")


def test_an_interrupt_of_a_check_ends_the_attempts_without_leave() -> None:
    def check(model: Runnable) -> bool:
        raise KeyboardInterrupt

    build = Builder()
    narrowest = narrowest_within_drop(ORDER, BITS, build, check, Deadline(None))
    assert (narrowest.stopped, narrowest.within_max_drop) == ("interrupt", False)
    assert build.built == [0, 11]
    assert build.told == [False, True]

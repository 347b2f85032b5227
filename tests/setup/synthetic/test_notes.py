"""What a user is told of synthetic inputs."""

import numpy as np
import pytest

from onnx_evoq.data import Chosen, InputPlan, Noise, Values, Whole
from onnx_evoq.setup.synthetic.notes import FITTED, GIVEN, GUESSED, is_a_mere_guess, notes_on
from onnx_evoq.signature import TensorSpec

SPEC = TensorSpec("x", np.dtype("float32"), (None, 3))


def plan(name: str, values: Values, *shape: int, dtype: str = "float32") -> InputPlan:
    return InputPlan(name, np.dtype(dtype), shape, values)


def test_the_range_is_said_and_that_real_data_do_better() -> None:
    (note,) = notes_on(4, [plan("x", Noise(), 3)], [SPEC], GUESSED, ())
    assert "scored on 4 synthetic inputs from about -2 to 2, which is a guess (input_range" in note
    assert "a few hundred real samples would do better" in note


def test_of_signals_whose_range_is_a_guess_the_result_may_be_worse_than_nearest() -> None:
    image = Noise(image=True)
    for noise, reason, worse in ((Noise(), GUESSED, True), (Noise(), FITTED, False),
                                 (image, GUESSED, False)):  # fmt: skip
        (note,) = notes_on(4, [plan("x", noise, 3)], [SPEC], reason, ())
        assert ("may be worse than nearest rounding" in note) == worse


def test_a_range_that_the_user_gave_is_no_guess() -> None:
    (note,) = notes_on(4, [plan("x", Noise().within(0, 9), 3)], [SPEC], GIVEN, ())
    assert "4 synthetic inputs from about 0 to 9; a few" in note


def test_whole_numbers_have_no_such_range() -> None:
    (note,) = notes_on(4, [plan("i", Whole(0, 2), 3)], [SPEC], GUESSED, ())
    assert "scored on 4 synthetic inputs; a few" in note


def test_open_sizes_and_constants_are_said() -> None:
    specs = [
        TensorSpec("x", np.dtype("float32"), (None, 3, None, None)),
        TensorSpec("rate", np.dtype("int64"), (None,)),
    ]
    plans = [plan("x", Noise(), 3, 48, 192), plan("rate", Chosen((16000.0,)), dtype="int64")]
    _, sizes, constants = notes_on(4, plans, specs, GUESSED, ())
    assert sizes == "sizes that the model leaves open were chosen: 'x' is 3 x 48 x 192."
    assert constants == "from what the model does with them, 'rate' is 16000 in all samples."


def test_the_size_of_a_whole_feed_is_said_if_its_first_axis_is_open() -> None:
    feed = [plan("x", Noise(), 32, 3)]
    assert "'x' is 32 x 3" in notes_on(4, feed, [SPEC], GUESSED, ())[1]


def test_inputs_without_the_range_of_the_user_are_said() -> None:
    plans = [plan("x", Noise(), 3), plan("i", Whole(0, 20), 3), plan("k", Chosen((1.0, 4.0)), 3)]
    note = notes_on(4, plans, [SPEC] * 3, GIVEN, {"i", "k"})[-1]
    assert (
        "input_range does not hold for 'i' (whole numbers from 0 to 19), 'k' (one of 1, 4)" in note
    )


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        (Noise(), "from about -2 to 2, and down to 0.001 times that, which is a guess"),
        (
            Noise(image=True).within(0, 255),
            "from about 0 to 255, every other one with twice the contrast, which is a guess",
        ),
    ],
)
def test_a_note_says_how_samples_differ_in_amplitude(noise: Noise, said: str) -> None:
    spec = TensorSpec("x", np.dtype("float32"), (None, 4))
    plans = [InputPlan("x", spec.dtype, (4,), noise.varied)]
    (note,) = notes_on(4, plans, [spec], GUESSED, ())
    assert said in note


@pytest.mark.parametrize(
    ("values", "reason", "guessed"),
    [
        ([Noise()], GUESSED, True),
        ([Noise()], FITTED, False),
        ([Noise(image=True)], GUESSED, False),
        ([Whole(0, 2), Noise()], GUESSED, True),  # flags say little
        ([Whole(0, 90), Noise()], GUESSED, False),  # tokens beside a cache
        ([Whole(0, 90)], GUESSED, False),
    ],
)
def test_inputs_are_a_mere_guess_where_nothing_says_what_they_hold(
    values: list[Values], reason: str, guessed: bool
) -> None:
    plans = [InputPlan(f"x{k}", np.dtype("float32"), (4,), v) for k, v in enumerate(values)]
    assert is_a_mere_guess(reason, plans) == guessed

"""How the values of synthetic inputs are drawn."""

from dataclasses import replace

import numpy as np

from onnx_evoq.data import InputPlan, Noise, Whole


def test_limits_are_two_deviations_away_from_the_mean() -> None:
    assert Noise(image=True, channel_axis=-3).within(0, 255) == Noise(
        (127.5,), (63.75,), 0, 255, image=True, channel_axis=-3
    )


def test_every_other_image_has_twice_the_contrast() -> None:
    image = Noise(image=True).within(0, 255)
    assert image.varied == replace(image, amplitudes=(1.0, 2.0))


def test_the_scale_of_numbers_without_a_range_comes_from_four_decades() -> None:
    assert Noise().varied == Noise(amplitudes=(1.0, 0.1, 0.01, 0.001))
    ranged = Noise().within(0, 1)
    assert ranged.varied is ranged


def test_inputs_that_are_no_noise_stay() -> None:
    plan = InputPlan("x", np.dtype("int64"), (3,), Whole(0, 9))
    assert plan.varied is plan
    noise = InputPlan("x", np.dtype("float32"), (3,), Noise())
    assert noise.varied == replace(noise, values=Noise().varied)


def test_noise_is_drawn_otherwise_at_seven_amplitudes_white_and_as_a_walk() -> None:
    ways = Noise().otherwise
    assert [way.amplitudes[0] for way in ways] == 2 * [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001]
    assert [way.walks for way in ways] == 7 * [False] + 7 * [True]
    assert Noise(image=True).otherwise == [Noise(image=True)]
    plan = InputPlan("x", np.dtype("float32"), (3,), Noise())
    assert plan.otherwise == [replace(plan, values=way) for way in ways]
    whole = replace(plan, values=Whole(0, 9))
    assert whole.otherwise == [whole]

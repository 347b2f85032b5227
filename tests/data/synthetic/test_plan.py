"""How the values of synthetic inputs are drawn."""

from onnx_evoq.data import Noise


def test_limits_are_two_deviations_away_from_the_mean() -> None:
    assert Noise(image=True, channel_axis=-3).within(0, 255) == Noise(
        (127.5,), (63.75,), 0, 255, image=True, channel_axis=-3
    )

"""The size of images of text lines."""

import pytest

from onnx_evoq.setup.axes.text_lines import Shapes, Sizes, text_line


def line(across: int, along: int, pooled: bool = False, least: int = 1) -> dict[str, int]:
    """The size for a model of such strides; below a number of rows it has no row at all."""

    def shapes_at(sizes: Sizes) -> Shapes:
        height, width = sizes["h"] // across, sizes["w"] // along
        return {
            "x": (1, 3, sizes["h"], sizes["w"]),
            "row": (1, 8, max(0, height - least + 1), width),
            "weights": (8, 3, 3, 3),
            "pooled": (1, 8, 1, 1),
        }

    return text_line("h", "w", shapes_at, {"row"} if pooled else ())


@pytest.mark.parametrize(
    ("across", "along", "height", "width"),
    [(48, 8, 48, 320), (16, 4, 32, 160), (64, 8, 64, 320), (40, 4, 48, 160)],
)
def test_a_reader_is_as_wide_as_40_positions(
    across: int, along: int, height: int, width: int
) -> None:
    least = 2 if across == 16 else 1
    assert line(across, along, least=least) == {"h": height, "w": width}


def test_a_classifier_is_four_times_as_wide_as_high() -> None:
    assert line(48, 4, pooled=True) == {"h": 48, "w": 192}


def test_models_of_alike_strides_read_no_lines() -> None:
    assert line(32, 32) == {}
    assert line(16, 8) == {}
    assert text_line("h", "w", lambda sizes: {}, ()) == {}

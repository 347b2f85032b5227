"""The pictures of pages."""

import io

import pytest


def test_a_picture_keeps_its_size_and_its_main_colours() -> None:
    image = pytest.importorskip("PIL.Image")
    from draw_report import with_few_colors

    drawn = image.new("RGB", (300, 200), (255, 255, 255))
    drawn.paste((10, 95, 180), (0, 0, 150, 100))
    written = io.BytesIO()
    drawn.save(written, "PNG")
    found = image.open(io.BytesIO(with_few_colors(written.getvalue())))
    assert found.size == (300, 200)
    assert found.mode == "P"
    pixels = found.convert("RGB")
    assert (pixels.getpixel((0, 0)), pixels.getpixel((200, 150))) == (
        (10, 95, 180), (255, 255, 255),
    )  # fmt: skip

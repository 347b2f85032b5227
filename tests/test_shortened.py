"""Texts that are cut in the middle."""

import pytest

from onnx_evoq.shortened import shortened


@pytest.mark.parametrize("width", [8, 9, 10, 25])
def test_a_shortened_text_has_that_width_and_both_its_ends(width: int) -> None:
    text = shortened("abcdefghijklmnopqrstuvwxyz", width)
    assert len(text) == width
    assert text.startswith("abc")
    assert text.endswith("xyz")


@pytest.mark.parametrize("text", ["", "abc", "12345678"])
def test_what_fits_is_not_shortened(text: str) -> None:
    assert shortened(text, 8) == text

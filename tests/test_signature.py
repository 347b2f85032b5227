"""The declaration of a model's input in words."""

import numpy as np
import pytest

from onnx_evoq.signature import TensorSpec


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((None, 3, 32, 32), "float32 (n, 3, 32, 32)"),
        ((1, 5), "float32 (1, 5)"),
        ((), "float32 ()"),
        (None, "float32 of any shape"),
    ],
)
def test_a_declaration_reads_as_type_and_shape(shape: tuple | None, text: str) -> None:
    assert TensorSpec("x", np.dtype("float32"), shape).describe() == text

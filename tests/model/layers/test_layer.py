"""The tensors around a layer."""

from dataclasses import replace

import pytest

from onnx_evoq.model import Layer
from onnx_evoq.model.layers.layer import Product
from onnx_evoq.quantize import Dense

LINEAR = Dense("...k,kn->...n")
PLAIN = Layer("w", LINEAR, "x", "y", "b")
RESIDUAL = replace(PLAIN, sum="s", other="z")
HIDDEN = replace(PLAIN, output=None)
WITH_TERM = replace(HIDDEN, other="z")
WITH_PRODUCT = replace(HIDDEN, beside=Product("r", LINEAR, "h", (True,)))
RENAMED = replace(WITH_PRODUCT, float_names=("raw", "h"))


@pytest.mark.parametrize(
    ("layer", "read", "given"),
    [
        (PLAIN, ["x"], ["y"]),
        (RESIDUAL, ["x", "z"], ["y", "s"]),
        (HIDDEN, ["x"], ["x"]),
        (WITH_TERM, ["x", "z"], ["x", "z"]),
        (WITH_PRODUCT, ["x", "h"], ["x", "h"]),
        (RENAMED, ["x", "h"], ["raw", "h"]),
    ],
)
def test_columns_and_targets_come_from(layer: Layer, read: list[str], given: list[str]) -> None:
    assert (layer.read, layer.given) == (read, given)

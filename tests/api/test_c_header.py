"""A quantized model as a C header."""

from collections.abc import Callable
from pathlib import Path

import pytest
from graphs import mlp, random

import onnx_evoq
from onnx_evoq import ModelError


def test_a_file_and_a_model_give_the_same_header(save: Callable[..., Path]) -> None:
    result = onnx_evoq.optimize(mlp(), random(16, 4), bits=4, strategy="none")
    text = onnx_evoq.c_header(result.model)
    assert "layer2_codes[18]" in text
    assert onnx_evoq.c_header(save(result.model)) == text


def test_the_type_that_the_model_stores_codes_in_has_no_effect() -> None:
    for bits in (2, 4):
        texts = {
            onnx_evoq.c_header(
                onnx_evoq.optimize(
                    mlp(), random(16, 4), bits=bits, strategy="none", storage=storage
                ).model
            )
            for storage in ("auto", "int8")
        }
        assert len(texts) == 1


def test_a_float_model_is_refused_by_its_name(mlp_file: Path) -> None:
    with pytest.raises(ModelError, match=f"{mlp_file}: no Conv, ConvTranspose, Gemm or MatMul has"):
        onnx_evoq.c_header(mlp_file)
    with pytest.raises(ModelError, match="the model in memory: no Conv"):
        onnx_evoq.c_header(mlp())

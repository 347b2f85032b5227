"""Operators that ONNX Runtime makes of several, and those that it adds: what becomes of weights."""

from typing import Any

import numpy as np
import pytest
from calls import optimize
from graphs import model_of, node, random, run
from onnx import ModelProto

OWN = {"domain": "com.microsoft"}


def transformer() -> ModelProto:
    """x (n, 4, 8) -> Attention, projection, norm, and two layers with a FastGelu between."""
    nodes = [
        node("Attention", ["x", "qkv", "qkv_bias"], ["a"], num_heads=2, **OWN),
        node("MatMul", ["a", "out"], ["p"]),
        node("SkipLayerNormalization", ["x", "p", "one", "zero"], ["s"], epsilon=1e-5, **OWN),
        node("MatMul", ["s", "up"], ["h"]),
        node("FastGelu", ["h", "up_bias"], ["g"], **OWN),
        node("FusedMatMul", ["g", "down"], ["d"], transB=1, alpha=0.5, **OWN),
        node("Add", ["d", "s"], ["y"]),
    ]
    weights = {
        "qkv": random(8, 24) / 3, "qkv_bias": random(24, seed=1), "out": random(8, 8) / 3,
        "one": np.ones(8, np.float32), "zero": np.zeros(8, np.float32),
        "up": random(8, 16, seed=2) / 3, "up_bias": random(16, seed=3),
        "down": random(8, 16, seed=4) / 4,
    }  # fmt: skip
    return model_of(nodes, {"x": ["n", 4, 8]}, {"y": ["n", 4, 8]}, weights)


def experts() -> ModelProto:
    """x (n, 8) -> two of four experts for each sample, which the router chooses -> y (n, 8)."""
    nodes = [
        node("MatMul", ["x", "router"], ["r"]),
        node("MoE", ["x", "r", "up", "up_bias", "down", "down_bias"], ["y"], k=2,
             activation_type="relu", **OWN),
    ]  # fmt: skip
    weights = {
        "router": random(8, 4), "up": random(4, 16, 8) / 3, "up_bias": random(4, 16, seed=1),
        "down": random(4, 8, 16) / 4, "down_bias": random(4, 8, seed=2),
    }  # fmt: skip
    return model_of(nodes, {"x": ["n", 8]}, {"y": ["n", 8]}, weights)


def quick(model: ModelProto, data: Any, bits: int) -> Any:
    return optimize(model, data, bits=bits, granularity="channel", strategy="none")


def test_all_products_of_a_fused_transformer_have_a_closed_form() -> None:
    result = quick(transformer(), random(64, 4, 8, seed=9), 4)
    assert not [note for note in result.notes if "closed form" in note]
    assert result.scores["start"].heldout < 0.75 * result.scores["nearest"].heldout


def test_of_experts_the_first_products_have_one() -> None:
    result = quick(experts(), random(48, 8, seed=9), 4)
    (note,) = (note for note in result.notes if "closed form" in note)
    assert "1 of 3 weights" in note
    assert "(down)" in note
    assert result.scores["start"].heldout < result.scores["nearest"].heldout


@pytest.mark.parametrize(("make", "shape"), [(transformer, (4, 8)), (experts, (8,))])
def test_at_8_bits_they_answer_as_the_float_model_does(make: Any, shape: tuple[int, ...]) -> None:
    data = random(32, *shape, seed=9)
    result = quick(make(), data, 8)
    expected, actual = (run(each, {"x": data})["y"] for each in (make(), result.model))
    np.testing.assert_allclose(actual, expected, atol=0.05 * np.abs(expected).max())


def test_tables_within_a_normalization_are_rounded() -> None:
    nodes = [
        node("EmbedLayerNormalization", ["ids", "", "words", "places", "", "one", "zero"],
             ["e", ""], **OWN),
        node("MatMul", ["e", "w"], ["y"]),
    ]  # fmt: skip
    weights = {
        "words": random(30, 8), "places": random(5, 8, seed=1), "w": random(8, 4),
        "one": np.ones(8, np.float32), "zero": np.zeros(8, np.float32),
    }  # fmt: skip
    model = model_of(nodes, {"ids": ["n", 5]}, {"y": ["n", 5, 4]}, weights, dtypes={"ids": "int32"})
    ids = np.random.default_rng(0).integers(0, 30, (32, 5)).astype(np.int32)
    result = quick(model, {"ids": ids}, 8)
    (note,) = (note for note in result.notes if "closed form" in note)
    assert "2 of 3 weights" in note
    expected, actual = (run(each, {"ids": ids})["y"] for each in (model, result.model))
    np.testing.assert_allclose(actual, expected, atol=0.05 * np.abs(expected).max())

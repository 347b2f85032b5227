"""Genomes: what they stand for, and how many bytes that takes."""

from typing import Any

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random, task_of
from onnx import ModelProto

from onnx_evoq.model import fold_batch_norm, load
from onnx_evoq.stages.candidates import find_candidates
from onnx_evoq.stages.rebuilding import rebuild


def fire() -> ModelProto:
    """x (n, 2, 6, 6) -> Conv, Relu -> two Convs side by side, Concat, PRelu -> Conv."""
    nodes = [
        node("Conv", ["x", "squeeze"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Conv", ["b", "one", "one_bias"], ["c"]),
        node("Conv", ["b", "three"], ["d"], pads=[1, 1, 1, 1]),
        node("Concat", ["c", "d"], ["e"], axis=1),
        node("PRelu", ["e", "slope"], ["f"]),
        node("Conv", ["f", "last"], ["y"]),
    ]
    weights = {
        "squeeze": random(9, 2, 1, 1, seed=1),
        "one": random(5, 9, 1, 1, seed=2),
        "one_bias": random(5, seed=3),
        "three": 0.3 * random(17, 9, 3, 3, seed=4),
        "slope": np.abs(random(22, 1, 1, seed=5)),
        "last": random(3, 22, 1, 1, seed=6),
    }
    return model_of(nodes, {"x": ["n", 2, 6, 6]}, {"y": None}, weights)


def flat() -> ModelProto:
    """x (n, 3, 2, 2) -> ConvTranspose, Flatten -> Gemm, MatMul without a bias -> y (n, 5)."""
    nodes = [
        node("ConvTranspose", ["x", "up"], ["a"], strides=[2, 2]),
        node("Flatten", ["a"], ["b"]),
        node("Gemm", ["b", "wide"], ["c"]),
        node("MatMul", ["c", "last"], ["y"]),
    ]
    weights = {
        "up": random(3, 10, 2, 2, seed=1),
        "wide": random(160, 9, seed=2),
        "last": random(9, 5, seed=3),
    }
    return model_of(nodes, {"x": ["n", 3, 2, 2]}, {"y": ["n", 5]}, weights)


def recurrent() -> ModelProto:
    """x (n, 5) of rows of a table -> GRU -> MatMul: weights without a closed form, but one."""
    nodes = [
        node("Gather", ["table", "x"], ["rows"]),
        node("Transpose", ["rows"], ["a"], perm=[1, 0, 2]),
        node("GRU", ["a", "w", "r"], ["", "b"], hidden_size=3),
        node("Squeeze", ["b", "zero"], ["c"]),
        node("MatMul", ["c", "last"], ["y"]),
    ]
    weights = {
        "table": random(7, 4, seed=1),
        "w": random(1, 9, 4, seed=2),
        "r": random(1, 9, 3, seed=3),
        "zero": np.array([0]),
        "last": random(3, 9, seed=4),
    }
    return model_of(nodes, {"x": ["n", 5]}, {"y": ["n", 9]}, weights, dtypes={"x": "int64"})


def shaped(model: ModelProto, *shape: int) -> Any:
    return fold_batch_norm(load(model))[0], random(24, *shape, seed=9)


MODELS = {
    "mlp": shaped(mlp(), 4),
    "conv": shaped(conv_net(), 3, 8, 8),
    "fire": shaped(fire(), 2, 6, 6),
    "flat": shaped(flat(), 3, 2, 2),
    "recurrent": (load(recurrent()), np.random.default_rng(0).integers(0, 7, size=(24, 5))),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("granularity", ["tensor", "channel", "groups"])
def test_the_size_of_a_genome_is_that_of_its_model(name: str, granularity: str) -> None:
    model, x = MODELS[name]
    groups = granularity == "groups"
    task = task_of(model, x, x[:8], granularity="channel" if groups else granularity)
    space = find_candidates(task, np.random.default_rng(0), True, groups, False).space
    rng = np.random.default_rng(1)
    for genome in [space.uniform(5), *(rng.integers(0, space.choices) for _ in range(3))]:
        point = rebuild(task, space.policy(genome), 0, lambda _: 0.0)
        assert space.size(genome) == point.packed_bytes

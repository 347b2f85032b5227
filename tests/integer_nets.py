"""Models with quantized activations for the tests of several rooms."""

from functools import cache

from graphs import conv_net, model_of, node, random, task_of
from onnx import ModelProto

from onnx_evoq.activations import Activations, quantize_activations
from onnx_evoq.model import fold_batch_norm, load
from onnx_evoq.setup import Task


def conv_task(bits: int = 4) -> Task:
    """The convolutional net with a residual branch, BatchNormalization folded."""
    model, _ = fold_batch_norm(load(conv_net()))
    return task_of(model, random(48, 3, 8, 8), random(16, 3, 8, 8, seed=1), bits=bits)


@cache
def quantized_conv_net(bits: int = 8) -> Activations:
    """The same with quantized activations."""
    return quantize_activations(conv_task(), bits)


def pooled() -> ModelProto:
    """x (n, 2, 4, 4) -> Conv, Clip at 6 -> AveragePool, Flatten -> Gemm -> y (n, 3)."""
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["a"]),
        node("Clip", ["a", "low", "high"], ["b"]),
        node("AveragePool", ["b"], ["c"], kernel_shape=[4, 4]),
        node("Flatten", ["c"], ["d"]),
        node("Gemm", ["d", "w2", "b2"], ["y"]),
    ]
    weights = {
        "w1": 3 * random(5, 2, 1, 1, seed=1), "b1": random(5, seed=2),
        "low": random(1)[0] * 0, "high": random(1)[0] * 0 + 6,
        "w2": random(5, 3, seed=3), "b2": random(3, seed=4),
    }  # fmt: skip
    return model_of(nodes, {"x": ["n", 2, 4, 4]}, {"y": ["n", 3]}, weights)

"""Models of sizes that users bring, with random weights: bench_sizes.py measures on them.

Each function writes one file. What the models answer means nothing, but their layers, shapes and
activations are those of the trained models.

References:
    ResNet: He et al., https://arxiv.org/abs/1512.03385
    YOLOv8: G. Jocher et al., https://docs.ultralytics.com/models/yolov8
    BERT: Devlin et al., https://arxiv.org/abs/1810.04805
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto
from size_graph import LINEAR, RELU, SILU, Network, check

BRANCH = 0.3  # factor of a residual branch's last layer, lest the variance grow block by block
CHECKED = 4  # samples to check a new model on

# The classes of a detector, the bins of a distance to a side of a box, and the strides of its maps.
CLASSES, BINS, STRIDES = 80, 16, (8, 16, 32)


def wide(file: Path) -> None:
    """Flatten, then a layer with 9,216 columns, as AlexNet has behind its convolutions."""
    net = Network()
    hidden = net.node("Relu", net.gemm(net.node("Flatten", "x"), 256 * 6 * 6, 32, RELU))
    y = net.node("MatMul", hidden, net.tensor(net.weight(10, (32,), LINEAR).T))
    images(net, file, (256, 6, 6), (y, ["n", 10]))


def resnet(
    file: Path,
    blocks: Sequence[int],
    bottleneck: bool,
    width: float = 1,
    size: int = 224,
    classes: int = 1000,
) -> None:
    """A residual network: (2, 2, 2, 2) basic blocks are ResNet-18, (3, 4, 6, 3) wide ones -50."""
    net, base, grown = Network(), round(64 * width), 4 if bottleneck else 1
    x = net.node("Relu", net.conv("x", 3, base, 7, 2))
    x = net.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = base
    for stage, count in enumerate(blocks):
        inner = base * 2**stage
        for block in range(count):
            stride, outputs = 2 if stage and not block else 1, grown * inner
            plan = (
                [(1, inner, 1), (3, inner, stride), (1, outputs, 1)]
                if bottleneck
                else [(3, inner, stride), (3, outputs, 1)]
            )
            y, inputs = x, channels
            for kernel, rows, step in plan[:-1]:
                y = net.node("Relu", net.conv(y, inputs, rows, kernel, step))
                inputs = rows
            kernel, rows, step = plan[-1]
            y = net.conv(y, inputs, rows, kernel, step, BRANCH**2 * LINEAR)
            if stride != 1 or channels != outputs:
                x = net.conv(x, channels, outputs, 1, stride)
            x, channels = net.node("Relu", net.node("Add", y, x)), outputs
    pooled = net.node("Flatten", net.node("GlobalAveragePool", x))
    images(net, file, (3, size, size), (net.gemm(pooled, channels, classes), ["n", classes]))


def yolov8n(file: Path, size: int = 320) -> None:
    """The smallest YOLOv8: boxes and scores of all classes (n, 84, places)."""
    net, sides = Network(), [size // stride for stride in STRIDES]
    x = silu(net, silu(net, "x", 3, 16, 3, 2), 16, 32, 3, 2)
    x = c2f(net, x, 32, 32, 1)
    fine = c2f(net, silu(net, x, 32, 64, 3, 2), 64, 64, 2)
    middle = c2f(net, silu(net, fine, 64, 128, 3, 2), 128, 128, 2)
    coarse = pyramid(net, c2f(net, silu(net, middle, 128, 256, 3, 2), 256, 256, 1), 256)
    middle = c2f(net, together(net, doubled(net, coarse), middle), 384, 128, 1, add=False)
    maps = [c2f(net, together(net, doubled(net, middle), fine), 192, 64, 1, add=False)]
    joined = together(net, silu(net, maps[0], 64, 64, 3, 2), middle)
    maps.append(c2f(net, joined, 192, 128, 1, add=False))
    joined = together(net, silu(net, maps[1], 128, 128, 3, 2), coarse)
    maps.append(c2f(net, joined, 384, 256, 1, add=False))
    places, flat = sum(side**2 for side in sides), []
    for x, inputs in zip(maps, (64, 128, 256), strict=True):
        branches = []
        for outputs in (4 * BINS, CLASSES):
            y = silu(net, silu(net, x, inputs, outputs, 3), outputs, outputs, 3)
            branches.append(net.conv(y, outputs, outputs, 1, variance=LINEAR))
        shape = net.tensor([0, 4 * BINS + CLASSES, -1], np.int64)
        flat.append(net.node("Reshape", together(net, *branches), shape))
    parts = net.tensor([4 * BINS, CLASSES], np.int64)
    joined = net.node("Concat", *flat, axis=2)
    distances, scores = net.node("Split", joined, parts, outputs=2, axis=1)
    boxes = boxes_of(net, distances, sides, places)
    y = together(net, boxes, net.node("Sigmoid", scores))
    images(net, file, (3, size, size), (y, ["n", 4 + CLASSES, places]))


def silu(net: Network, x: str, inputs: int, outputs: int, kernel: int, stride: int = 1) -> str:
    """A convolution and x * sigmoid(x), as exporters write it."""
    x = net.conv(x, inputs, outputs, kernel, stride, SILU)
    name: str = net.node("Mul", x, net.node("Sigmoid", x))
    return name


def c2f(net: Network, x: str, inputs: int, outputs: int, count: int, add: bool = True) -> str:
    """Half of the channels go through blocks one after another; all that came out is joined."""
    inner = outputs // 2
    halves = net.tensor([inner, inner], np.int64)
    parts = net.node("Split", silu(net, x, inputs, outputs, 1), halves, outputs=2, axis=1)
    for _ in range(count):
        y = silu(net, silu(net, parts[-1], inner, inner, 3), inner, inner, 3)
        parts.append(net.node("Add", parts[-1], y) if add else y)
    return silu(net, together(net, *parts), (2 + count) * inner, outputs, 1)


def pyramid(net: Network, x: str, channels: int) -> str:
    """Maxima over growing windows, joined."""
    parts = [silu(net, x, channels, channels // 2, 1)]
    for _ in range(3):
        window = {"kernel_shape": [5, 5], "strides": [1, 1], "pads": [2] * 4}
        parts.append(net.node("MaxPool", parts[-1], **window))
    return silu(net, together(net, *parts), 2 * channels, channels, 1)


def doubled(net: Network, x: str) -> str:
    """Twice as high and wide."""
    sizes = net.tensor([1, 1, 2, 2])
    modes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
    name: str = net.node("Resize", x, "", sizes, nearest_mode="floor", **modes)
    return name


def together(net: Network, *parts: str) -> str:
    """Channels one after another."""
    name: str = net.node("Concat", *parts, axis=1)
    return name


def boxes_of(net: Network, distances: str, sides: Sequence[int], places: int) -> str:
    """Mean distances to the four sides of a box, then its centre and size: (n, 4, places)."""
    shape = net.tensor([0, 4, BINS, places], np.int64)
    bins = net.node("Transpose", net.node("Reshape", distances, shape), perm=[0, 2, 1, 3])
    numbers = net.tensor(np.arange(BINS).reshape(1, BINS, 1, 1))
    mean = net.node("Conv", net.node("Softmax", bins, axis=1), numbers)
    mean = net.node("Reshape", mean, net.tensor([0, 4, places], np.int64))
    low, high = net.node("Split", mean, net.tensor([2, 2], np.int64), outputs=2, axis=1)
    centres = [np.stack(np.meshgrid(*[np.arange(s) + 0.5] * 2)).reshape(2, -1) for s in sides]
    anchors = net.tensor(np.concatenate(centres, 1)[None])
    low, high = net.node("Sub", anchors, low), net.node("Add", anchors, high)
    middle = net.node("Div", net.node("Add", low, high), net.tensor(2))
    boxes = together(net, middle, net.node("Sub", high, low))
    strides = np.repeat(STRIDES, [side**2 for side in sides])[None]
    name: str = net.node("Mul", boxes, net.tensor(strides))
    return name


def bert(
    file: Path,
    width: int = 768,
    blocks: int = 12,
    tokens: int = 128,
    vocabulary: int = 30522,
    classes: int = 2,
) -> None:
    """A BERT with a classifier behind its first token; ids (n, tokens) of int64 come in."""
    net = Network()
    words = net.node("Gather", net.normal(vocabulary, width, spread=1.0), "ids")
    x = norm(net, net.node("Add", words, net.normal(tokens, width, spread=0.5)), width)
    for _ in range(blocks):
        x = norm(net, net.node("Add", x, attention(net, x, width, tokens)), width)
        hidden = gelu(net, net.dense(x, width, 4 * width))
        x = norm(net, net.node("Add", x, net.dense(hidden, 4 * width, width, RELU)), width)
    first = net.node("Gather", x, net.tensor(0, np.int64), axis=1)
    pooled = net.node("Tanh", net.gemm(first, width, width))
    y = net.gemm(pooled, width, classes)
    net.save(file, ("ids", TensorProto.INT64, ["n", tokens]), (y, ["n", classes]))
    check(file, {"ids": net.rng.integers(vocabulary, size=(CHECKED, tokens))})


def norm(net: Network, x: str, width: int) -> str:
    """LayerNormalization with a scale near 1."""
    scale = net.tensor(1 + 0.1 * net.rng.standard_normal(width))
    name: str = net.node("LayerNormalization", x, scale, net.normal(width))
    return name


def gelu(net: Network, x: str) -> str:
    """x * (1 + erf(x / sqrt(2))) / 2"""
    part = net.node("Erf", net.node("Div", x, net.tensor(2**0.5)))
    product = net.node("Mul", x, net.node("Add", part, net.tensor(1)))
    name: str = net.node("Mul", product, net.tensor(0.5))
    return name


def attention(net: Network, x: str, width: int, tokens: int, depth: int = 64) -> str:
    """Self attention of heads with the given depth."""
    shape = net.tensor([0, tokens, width // depth, depth], np.int64)

    def heads(perm: list[int]) -> str:
        each = net.node("Reshape", net.dense(x, width, width), shape)
        name: str = net.node("Transpose", each, perm=perm)
        return name

    query, key, value = heads([0, 2, 1, 3]), heads([0, 2, 3, 1]), heads([0, 2, 1, 3])
    scores = net.node("Div", net.node("MatMul", query, key), net.tensor(depth**0.5))
    mixed = net.node("MatMul", net.node("Softmax", scores, axis=-1), value)
    joined = net.node("Transpose", mixed, perm=[0, 2, 1, 3])
    joined = net.node("Reshape", joined, net.tensor([0, tokens, width], np.int64))
    return net.dense(joined, width, width)


def images(net: Network, file: Path, shape: Sequence[int], y: tuple[str, Sequence[Any]]) -> None:
    """Save a network that takes images (channels, height, width), and check it."""
    net.save(file, ("x", TensorProto.FLOAT, ["n", *shape]), y)
    check(file, {"x": net.rng.standard_normal((CHECKED, *shape), np.float32)})

"""Rounding of a CIFAR ResNet by gradient descent, layer by layer or block by block, in PyTorch.

The rounding of each weight is a variable: w = step * clip(floor(w / step) + h, low, high), with

    h = clip(1.2 sigmoid(v) - 0.1, 0, 1).

Adam minimises the squared error of a layer's or a residual block's output, behind its addition and
Relu, against the float model's, plus LAMBDA times the sum of 1 - |2h - 1|^beta, whose beta falls
from 20 to 2 and so drives each h to 0 or 1. Inputs come from the model as quantized so far. The
step is the power of two, one for each tensor, that rounds to nearest with the least squared error.

References:
    Layer by layer: AdaRound, Nagel et al., https://arxiv.org/abs/2004.10568
    Block by block: BRECQ, Li et al., https://arxiv.org/abs/2102.05426
    The networks, with shortcuts that skip pixels and pad channels: He et al.,
    https://arxiv.org/abs/1512.03385
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor
from torch.nn import functional

LAMBDA, BETA, WARM_UP = 0.01, (20.0, 2.0), 0.2  # of BRECQ's code; WARM_UP has no second term
STRETCH = 0.1  # how far h reaches beyond 0 and 1 before it is clipped
BATCH = 32
STEPS_TRIED = 6  # powers of two below the one that covers the range

State = tuple[Tensor, ...]  # what comes out; within a block its input, too


@dataclass(frozen=True)
class Layer:
    """A layer with what follows it, up to the next one.

    Attributes:
        name: the name of the weight.
        weight: as the file has it.
        bias: as the file has it.
        stride: of the convolution.
        place: where it stands: "first" and "second" make a residual block.
    """

    name: str
    weight: Tensor
    bias: Tensor
    stride: int
    place: Literal["stem", "first", "second", "head"]

    def __call__(self, state: State, weight: Tensor) -> State:
        """The state behind this layer, with another weight."""
        x = state[0]
        if self.place == "head":
            return (functional.linear(x.mean((2, 3)), weight, self.bias),)
        y = functional.conv2d(x, weight, self.bias, self.stride, padding=1)
        if self.place == "stem":
            return (y.relu(),)
        if self.place == "first":
            return (y.relu(), x)
        return ((y + shortcut(state[1], y)).relu(),)


def shortcut(x: Tensor, like: Tensor) -> Tensor:
    """A block's input in the shape of its output: fewer pixels, and channels of zeros."""
    stride, more = x.shape[2] // like.shape[2], like.shape[1] - x.shape[1]
    return functional.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, more // 2, more - more // 2))


def layers_of(model: onnx.ModelProto) -> list[Layer]:
    """The layers of a CIFAR ResNet in order: a stem, blocks of two, and a classifier."""
    values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    layers = []
    for k, node in enumerate(nodes):
        strides = [a.ints[0] for a in node.attribute if a.name == "strides"]
        weight, bias = (torch.from_numpy(values[name].copy()) for name in node.input[1:3])
        inner: Literal["first", "second"] = "first" if k % 2 else "second"
        place = "stem" if k == 0 else "head" if node.op_type == "Gemm" else inner
        layers.append(Layer(node.input[1], weight, bias, strides[0] if strides else 1, place))
    return layers


def with_weights(model: onnx.ModelProto, weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    """A copy of the model with other weights."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name], tensor.name))
    return copy


def rounded(
    layers: Sequence[Layer],
    images: np.ndarray,
    bits: int,
    blocks: bool,
    iterations: int,
    rate: float,
    seed: int,
    log: Callable[[str], None],
) -> dict[str, np.ndarray]:
    """The weights of all layers on their grids, by name.

    Args:
        layers: as `layers_of` gives them.
        images: what the model takes, (samples, 3, height, width).
        bits: the width of the codes.
        blocks: whether the two layers of a block are optimized together.
        iterations: of each layer, or of each block.
        rate: the learning rate of Adam.
        seed: of the draws of samples.
        log: says how far it is.
    """
    draws = torch.Generator().manual_seed(seed)
    plain: State = (torch.from_numpy(images),)
    quantized, found = plain, {}
    groups: list[list[Layer]] = []
    for layer in layers:
        if blocks and layer.place == "second":
            groups[-1].append(layer)
        else:
            groups.append([layer])
    for group in groups:
        with torch.no_grad():
            plain = behind(group, plain, [layer.weight for layer in group])
        weights = optimized(group, quantized, plain[0], bits, iterations, rate, draws)
        with torch.no_grad():
            quantized = behind(group, quantized, weights)
        found.update({la.name: w.numpy() for la, w in zip(group, weights, strict=True)})
        error = (quantized[0] - plain[0]).square().mean() / plain[0].square().mean()
        log(f"{group[-1].name}: relative error {error:.3g}")
    return found


def behind(group: Sequence[Layer], state: State, weights: Sequence[Tensor]) -> State:
    """The state behind some layers."""
    for layer, weight in zip(group, weights, strict=True):
        state = layer(state, weight)
    return state


def optimized(
    group: Sequence[Layer],
    inputs: State,
    targets: Tensor,
    bits: int,
    iterations: int,
    rate: float,
    draws: torch.Generator,
) -> list[Tensor]:
    """The rounded weights of some layers, which give the targets together."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    steps = [best_step(layer.weight, low, high) for layer in group]
    scaled = [layer.weight / step for layer, step in zip(group, steps, strict=True)]
    floors = [each.floor() for each in scaled]
    variables = [
        torch.logit((each - floor + STRETCH) / (1 + 2 * STRETCH)).requires_grad_()
        for each, floor in zip(scaled, floors, strict=True)
    ]

    def weights(parts: Sequence[Tensor]) -> list[Tensor]:
        both = zip(floors, parts, steps, strict=True)
        return [step * (floor + part).clamp(low, high) for floor, part, step in both]

    def parts() -> list[Tensor]:
        return [(torch.sigmoid(v) * (1 + 2 * STRETCH) - STRETCH).clamp(0, 1) for v in variables]

    optimizer = torch.optim.Adam(variables, lr=rate)
    for iteration in range(iterations):
        batch = torch.randint(len(targets), (BATCH,), generator=draws)
        chosen = parts()
        output = behind(group, tuple(each[batch] for each in inputs), weights(chosen))[0]
        loss = (output - targets[batch]).square().sum(1).mean()
        progress = (iteration / iterations - WARM_UP) / (1 - WARM_UP)
        if progress >= 0:
            beta = BETA[1] + (BETA[0] - BETA[1]) * (1 - progress)
            for part in chosen:
                loss = loss + LAMBDA * (1 - (2 * part - 1).abs() ** beta).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return weights([(part > 0.5).float() for part in parts()])


def best_step(weight: Tensor, low: int, high: int) -> float:
    """The power of two that rounds to nearest with the least squared error."""
    covering = np.ceil(np.log2(float(weight.abs().max()) / high))
    steps = [float(2.0 ** (covering - k)) for k in range(STEPS_TRIED)]

    def error(step: float) -> float:
        rounded = step * (weight / step).round().clamp(low, high)
        return float((rounded - weight).square().sum())

    return min(steps, key=error)

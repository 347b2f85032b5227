"""Train and export the small models in `models/`, and write their data beside them.

This file and `make_anomaly_model.py` alone need PyTorch; nothing imports them. The networks are
plain and small on purpose: each brings one kind of graph (BatchNormalization left in place,
residual additions, depthwise convolutions, attention, transposed convolutions), and the exports use
different opsets. Nothing here knows about quantization.

    python tools/make_models.py                       # all models, a minute or two on one core
    python tools/make_models.py --only digits_resnet

Every run is seeded per model, so `--only` writes the same file as a whole run does.

References:
    Digits: E. Alpaydin, C. Kaynak, https://doi.org/10.24432/C50P49
    Depthwise separable convolutions: Howard et al., https://arxiv.org/abs/1704.04861
    Residual blocks: He et al., https://arxiv.org/abs/1512.03385
    Pre-norm transformer: Xiong et al., https://arxiv.org/abs/2002.04745
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

SEED = 0
TRAIN_IMAGES = 1000
CALIB_IMAGES = 256
BATCH = 50

Images = tuple[np.ndarray, np.ndarray]  # x: (n, 1, 8, 8) float32 in 0..1, y: (n,) int64


class Vgg(nn.Module):
    """Two pairs of 3x3 convolutions with BatchNorm, then two fully connected layers."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *conv_bn(1, 16), nn.ReLU(),
            *conv_bn(16, 16), nn.ReLU(), nn.MaxPool2d(2),
            *conv_bn(16, 32), nn.ReLU(),
            *conv_bn(32, 32), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Linear(32 * 2 * 2, 48), nn.ReLU(), nn.Linear(48, 10))

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)  # (n, 32, 2, 2)
        logits: Tensor = self.head(features.flatten(1))  # (n, 10)
        return logits


class Residual(nn.Module):
    """`relu(conv(relu(conv(x))) + shortcut(x))`; the shortcut is a 1x1 convolution or nothing."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *conv_bn(inputs, outputs, stride=stride), nn.ReLU(), *conv_bn(outputs, outputs)
        )
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Sequential(
            *([] if same else conv_bn(inputs, outputs, kernel=1, stride=stride))
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.branch(x) + self.shortcut(x))


class ResNet(nn.Module):
    """A stem, three residual blocks, global average pooling and a linear classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *conv_bn(1, 16), nn.ReLU(),
            Residual(16, 16, stride=1),
            Residual(16, 24, stride=2),
            Residual(24, 32, stride=2),
        )  # fmt: skip
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        features = self.blocks(x)  # (n, 32, 2, 2)
        pooled = functional.adaptive_avg_pool2d(features, 1).flatten(1)  # (n, 32)
        logits: Tensor = self.head(pooled)  # (n, 10)
        return logits


class Depthwise(nn.Module):
    """A stem and four depthwise separable blocks with ReLU6, as in MobileNet."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *conv_bn(1, 16), nn.ReLU6(),
            *separable(16, 32, stride=1),
            *separable(32, 48, stride=2),
            *separable(48, 64, stride=1),
            *separable(64, 64, stride=2),
        )  # fmt: skip
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        features = self.blocks(x)  # (n, 64, 2, 2)
        pooled = functional.adaptive_avg_pool2d(features, 1).flatten(1)  # (n, 64)
        logits: Tensor = self.head(pooled)  # (n, 10)
        return logits


class Attention(nn.Module):
    """Multi-head self attention from four linear layers, a softmax and two products."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.depth = width // heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def split(self, x: Tensor) -> Tensor:
        """(n, tokens, width) -> (n, heads, tokens, depth)"""
        return x.reshape(-1, 8, self.heads, self.depth).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        query = self.split(self.query(x))
        key = self.split(self.key(x))
        value = self.split(self.value(x))
        scores = query @ key.transpose(2, 3) * self.depth**-0.5  # (n, heads, tokens, tokens)
        mixed = scores.softmax(-1) @ value  # (n, heads, tokens, depth)
        joined = mixed.transpose(1, 2).reshape(-1, 8, self.heads * self.depth)
        output: Tensor = self.out(joined)  # (n, tokens, width)
        return output


class Block(nn.Module):
    """A pre-norm transformer block: attention, then a two-layer perceptron, each added to x."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        output: Tensor = x + self.mlp(self.norm2(x))
        return output


class Transformer(nn.Module):
    """The image as 8 tokens of 8 pixels (its rows), learned positions, two blocks, mean pooling."""

    def __init__(self, width: int = 48, heads: int = 4) -> None:
        super().__init__()
        self.embed = nn.Linear(8, width)
        self.position = nn.Parameter(0.02 * torch.randn(1, 8, width))
        self.blocks = nn.Sequential(Block(width, heads), Block(width, heads))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x.reshape(-1, 8, 8)) + self.position  # (n, tokens, width)
        pooled = self.norm(self.blocks(tokens)).mean(1)  # (n, width)
        logits: Tensor = self.head(pooled)  # (n, 10)
        return logits


class Autoencoder(nn.Module):
    """64 pixels to 32 numbers with convolutions, and back with transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(32, 8, 3, stride=2, padding=1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(8, 32, 4, stride=2, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(16, 1, 3, padding=1), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        code = self.encoder(x)  # (n, 8, 2, 2)
        image: Tensor = self.decoder(code)  # (n, 1, 8, 8)
        return image


def conv_bn(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Return a convolution without bias and its BatchNorm."""
    conv = nn.Conv2d(
        inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
    )
    return [conv, nn.BatchNorm2d(outputs)]


def separable(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    """Return a 3x3 convolution of each channel alone and a 1x1 convolution across channels."""
    depthwise = conv_bn(inputs, inputs, stride=stride, groups=inputs)
    return [*depthwise, nn.ReLU6(), *conv_bn(inputs, outputs, kernel=1), nn.ReLU6()]


@dataclass(frozen=True)
class Recipe:
    """How one model is built, trained and exported."""

    net: Callable[[], nn.Module]
    opset: int
    epochs: int
    rate: float = 3e-3
    autoencoder: bool = False
    fold_batchnorm: bool = True


RECIPES = {
    "digits_vgg": Recipe(Vgg, opset=13, epochs=60, fold_batchnorm=False),
    "digits_resnet": Recipe(ResNet, opset=11, epochs=60),
    "digits_depthwise": Recipe(Depthwise, opset=20, epochs=80),
    "digits_transformer": Recipe(Transformer, opset=17, epochs=150),
    "digits_autoencoder": Recipe(Autoencoder, opset=18, epochs=100, autoencoder=True),
}


def split_digits() -> tuple[Images, Images, Images]:
    """Return training, calibration (drawn from the training images) and test images."""
    digits = load_digits()
    x = (digits.images[:, None] / 16).astype(np.float32)  # (1797, 1, 8, 8)
    y = digits.target.astype(np.int64)
    order = np.random.default_rng(SEED).permutation(len(x))
    train, calib, test = order[:TRAIN_IMAGES], order[:CALIB_IMAGES], order[TRAIN_IMAGES:]
    return (x[train], y[train]), (x[calib], y[calib]), (x[test], y[test])


def shift(x: Tensor) -> Tensor:
    """Move each image by -1, 0 or +1 pixels along both axes; what enters is black."""
    padded = functional.pad(x, (1, 1, 1, 1))  # (n, 1, 10, 10)
    image = torch.arange(len(x))[:, None, None]
    row = torch.randint(3, (len(x), 1, 1)) + torch.arange(8)[None, :, None]
    column = torch.randint(3, (len(x), 1, 1)) + torch.arange(8)[None, None, :]
    return padded[image, 0, row, column][:, None]  # (n, 1, 8, 8)


def train(recipe: Recipe, data: Images) -> nn.Module:
    """Train with AdamW and a one-cycle rate; cross entropy, or squared error of the pixels."""
    torch.manual_seed(SEED)
    net = recipe.net()
    x, y = map(torch.from_numpy, data)
    steps = recipe.epochs * (len(x) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), lr=recipe.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=steps)
    net.train()
    for _ in range(recipe.epochs):
        for batch in torch.randperm(len(x)).split(BATCH):
            images = shift(x[batch])
            output = net(images)
            loss = (
                functional.mse_loss(output, images)
                if recipe.autoencoder
                else functional.cross_entropy(output, y[batch])
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def export(net: nn.Module, recipe: Recipe, path: Path) -> None:
    """Write one ONNX file with a free batch dimension.

    Constant folding also merges each BatchNorm into its convolution. `PRESERVE` without folding
    keeps the nodes, in inference mode because the network is.
    """
    output = "reconstruction" if recipe.autoencoder else "logits"
    mode = torch.onnx.TrainingMode
    with warnings.catch_warnings():  # this exporter is deprecated, but needs no further package
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            net,
            (torch.zeros(2, 1, 8, 8),),
            path,
            dynamo=False,
            opset_version=recipe.opset,
            training=mode.EVAL if recipe.fold_batchnorm else mode.PRESERVE,
            do_constant_folding=recipe.fold_batchnorm,
            input_names=["input"],
            output_names=[output],
            dynamic_axes={"input": {0: "batch"}, output: {0: "batch"}},
        )
    onnx.checker.check_model(path, full_check=True)


def score(path: Path, recipe: Recipe, data: Images) -> str:
    """Score the written file: top-1, or the peak signal-to-noise ratio of the pixels."""
    x, y = data
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    output = session.run(None, {"input": x})[0]
    if recipe.autoencoder:
        return f"{-10 * np.log10(np.mean((output - x) ** 2)):.2f} dB"
    return f"{100 * np.mean(output.argmax(1) == y):.2f} %"


def count_weights(path: Path) -> int:
    """Count the values in the float initializers (weights, biases and statistics)."""
    initializers = onnx.load(path).graph.initializer
    return sum(int(np.prod(t.dims)) for t in initializers if t.data_type == onnx.TensorProto.FLOAT)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train and export the models in models/.")
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder to write to")
    parser.add_argument("--only", choices=sorted(RECIPES), help="make this model alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    training, calibration, test = split_digits()
    args.out.mkdir(parents=True, exist_ok=True)
    for name, (x, y) in (("digits_calib", calibration), ("digits_test", test)):
        np.savez_compressed(args.out / f"{name}.npz", x=x, y=y)

    rows = []
    for name in [args.only] if args.only else RECIPES:
        recipe, path = RECIPES[name], args.out / f"{name}.onnx"
        print(f"training {path}", flush=True)
        export(train(recipe, training), recipe, path)
        rows.append((path, recipe, score(path, recipe, test)))

    print(f"\n{'file':26}{'weights':>9}{'opset':>7}{'bytes':>9}{'test score':>12}")
    for path, recipe, result in rows:
        size = path.stat().st_size
        print(f"{path.name:26}{count_weights(path):9,}{recipe.opset:7}{size:9,}{result:>12}")


if __name__ == "__main__":
    main()

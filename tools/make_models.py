"""Train and export the small models in `models/`, and write their data beside them.

The networks are plain and small on purpose: each brings one kind of graph (BatchNormalization left
as it is, residual additions, depthwise convolutions, attention, transposed convolutions), and the
exports use different opsets. Nothing here knows about quantization. It prints a table with the
weights, the opset, the bytes and the test score of each file.

    python tools/make_models.py                       # all models, a minute or two on one core
    python tools/make_models.py --only digits_resnet --out DIR

Every run is seeded per model, so that `--only` writes the same file as a whole run does. PyTorch
and scikit-learn are imported late: `--help` works without them.

References:
    Digits: E. Alpaydin, C. Kaynak, https://doi.org/10.24432/C50P49
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime as ort

if TYPE_CHECKING:
    from torch import Tensor, nn

SEED = 0
TRAIN_IMAGES = 1000
CALIB_IMAGES = 256
BATCH = 50

Images = tuple[np.ndarray, np.ndarray]  # x: (n, 1, 8, 8) float32 in 0..1, y: (n,) int64


@dataclass(frozen=True)
class Recipe:
    """How one model is built, trained and exported."""

    net: str  # in digits_networks.py
    opset: int
    epochs: int
    rate: float = 3e-3
    autoencoder: bool = False
    fold_batchnorm: bool = True


RECIPES = {
    "digits_vgg": Recipe("Vgg", opset=13, epochs=60, fold_batchnorm=False),
    "digits_resnet": Recipe("ResNet", opset=11, epochs=60),
    "digits_depthwise": Recipe("Depthwise", opset=20, epochs=80),
    "digits_transformer": Recipe("Transformer", opset=17, epochs=150),
    "digits_autoencoder": Recipe("Autoencoder", opset=18, epochs=100, autoencoder=True),
}


def split_digits() -> tuple[Images, Images, Images]:
    """Return training, calibration (drawn from the training images) and test images."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = (digits.images[:, None] / 16).astype(np.float32)  # (1797, 1, 8, 8)
    y = digits.target.astype(np.int64)
    order = np.random.default_rng(SEED).permutation(len(x))
    train, calib, test = order[:TRAIN_IMAGES], order[:CALIB_IMAGES], order[TRAIN_IMAGES:]
    return (x[train], y[train]), (x[calib], y[calib]), (x[test], y[test])


def shift(x: Tensor) -> Tensor:
    """Move each image by -1, 0 or +1 pixels along both axes; what enters is black."""
    import torch
    from torch.nn import functional

    padded = functional.pad(x, (1, 1, 1, 1))  # (n, 1, 10, 10)
    image = torch.arange(len(x))[:, None, None]
    row = torch.randint(3, (len(x), 1, 1)) + torch.arange(8)[None, :, None]
    column = torch.randint(3, (len(x), 1, 1)) + torch.arange(8)[None, None, :]
    return padded[image, 0, row, column][:, None]  # (n, 1, 8, 8)


def train(recipe: Recipe, data: Images) -> nn.Module:
    """Train with AdamW and a one-cycle rate; cross entropy, or squared error of the pixels."""
    import digits_networks
    import torch
    from torch.nn import functional

    torch.manual_seed(SEED)
    net: nn.Module = getattr(digits_networks, recipe.net)()
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
    import torch

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
    """Make the models, and print a row for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder to write to")
    parser.add_argument("--only", choices=sorted(RECIPES), help="make this model alone")
    args = parser.parse_args()
    import torch

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

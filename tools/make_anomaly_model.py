"""Train and export `models/anomaly_autoencoder.onnx`, a detector of anomalies in telemetry.

The network sees 128 time steps of one telemetry value and gives them back through a bottleneck of 8
numbers. What it saw in training it gives back well; where it does not, something is unusual. One
network serves four channels of the SMAP spacecraft. It takes their telemetry alone: the other 24
columns are commands, which are rare, and would fill the error with what is no anomaly. The two
channels of MSL, another spacecraft, are left out. Each window is shifted and scaled to mean 0 and
deviation 1 in the graph, because the files of training and of testing do not share their scale.

    python tools/make_anomaly_model.py --data DIR     # less than a minute on one core
    python tools/make_anomaly_model.py --data DIR --out FOLDER

DIR holds train/*.npy and test/*.npy, (time, columns) each, and labeled_anomalies.csv. Training sees
train/ alone; test/ and the labels serve the scores that it prints, for each channel and for several
margins, by the data and the metric of `examples/anomaly.py`. The run is seeded. PyTorch is imported
late: `--help` works without it.

References:
    The data: Hundman et al., https://arxiv.org/abs/1802.04431
    Their copy: Tuli et al., https://arxiv.org/abs/2201.07284
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime as ort

if TYPE_CHECKING:
    from torch import nn

PROJECT = Path(__file__).parent.parent
sys.path.insert(0, str(PROJECT / "examples"))

import anomaly  # noqa: E402

SEED = 0
EPOCHS = 12
BATCH = 64
RATE = 3e-3
DECAY = 1.0  # of the weights: the training windows overlap, and are few


def train(x: np.ndarray) -> nn.Module:
    """Train with AdamW and a one-cycle rate on the mean squared residual; x: (n, 1, 128)."""
    import torch
    from anomaly_network import Autoencoder

    torch.manual_seed(SEED)
    net = Autoencoder(anomaly.WINDOW)
    data = torch.from_numpy(x)
    steps = EPOCHS * -(-len(x) // BATCH)
    weights = [p for p in net.parameters() if p.ndim > 1]
    biases = [p for p in net.parameters() if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": DECAY}, {"params": biases, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(BATCH):
            loss = net(data[batch]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def export(net: nn.Module, path: Path) -> None:
    """Write the ONNX file with a free batch dimension and one output, `residual`."""
    import torch

    with warnings.catch_warnings():  # this exporter is deprecated, but needs no further package
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            net,
            (torch.zeros(2, 1, anomaly.WINDOW),),
            path,
            dynamo=False,
            opset_version=17,
            input_names=["input"],
            output_names=["residual"],
            dynamic_axes={"input": {0: "batch"}, "residual": {0: "batch"}},
        )
    onnx.checker.check_model(path, full_check=True)


def run(path: Path, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Run the written file on all windows: residuals (n, 1, 128) and labels (n, 2)."""
    os.environ["ANOMALY_DATA"] = str(folder)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = list(anomaly.test())
    parts = [session.run(None, {"input": feed["input"]})[0] for feed in feeds]
    return np.concatenate(parts), np.concatenate([feed["y"] for feed in feeds])


def main() -> None:
    """Make the model, and print its scores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and test/")
    parser.add_argument("--out", type=Path, default=PROJECT / "models", help="folder to write to")
    args = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    path = args.out / "anomaly_autoencoder.onnx"
    args.out.mkdir(parents=True, exist_ok=True)
    print(f"training {path}", flush=True)
    training = [
        anomaly.windows(args.data, "train", channel, stride=1) for channel in anomaly.CHANNELS
    ]
    export(train(np.concatenate(training)), path)

    residual, labels = run(path, args.data)
    print(f"\n{'channel':9}{'windows':>9}{'anomalies':>11}{'F1':>8}")
    for number, channel in enumerate(anomaly.CHANNELS):
        own = labels[:, 0] == number
        value = anomaly.f1({"residual": residual[own]}, labels[own])
        counts = [(labels[own, 1] == kind).sum() for kind in (anomaly.NORMAL, anomaly.ANOMALY)]
        print(f"{channel:9}{sum(counts):9,}{counts[1]:11,}{value:8.4f}")
    print(f"\n{'margin':9}{'F1':>8}")
    for margin in (1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.5):
        print(f"{margin:<9}{anomaly.f1({'residual': residual}, labels, margin):8.4f}")


if __name__ == "__main__":
    main()

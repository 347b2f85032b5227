"""Data and a metric of one's own: F1 of the anomalies that an autoencoder finds.

    export ANOMALY_DATA=data/anomaly    # holds train/*.npy, test/*.npy and labeled_anomalies.csv
    onnx-evoq optimize models/anomaly_autoencoder.onnx --bits 5 \\
        --data examples/anomaly.py:calibration
    onnx-evoq evaluate models/anomaly_autoencoder.w5.onnx \\
        --data examples/anomaly.py:test --metric examples/anomaly.py:f1

The model gives the residual of its reconstruction. A window of telemetry is flagged where the mean
square of that is larger than it usually is on the same channel. What is usual, the model under test
says itself on training windows: `test` gives them too, marked in the labels, and they do not count.
"""

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

CHANNELS = ("A-1", "E-1", "P-1", "T-1")
WINDOW = 128  # time steps
STRIDE = 4
NORMAL, ANOMALY, TRAINING = 0, 1, 2  # what a window is


def calibration() -> Iterator[dict[str, np.ndarray]]:
    """1,024 training windows of all channels, drawn at random, without labels."""
    x = np.concatenate([windows(data_folder(), "train", channel) for channel in CHANNELS])
    yield {"input": np.random.default_rng(0).permutation(x)[:1024]}  # (1024, 1, 128)


def test() -> Iterator[dict[str, np.ndarray]]:
    """All windows; `y` (n, 2) holds the number of their channel and what they are."""
    folder = data_folder()
    for number, channel in enumerate(CHANNELS):
        for split in ("train", "test"):
            x = windows(folder, split, channel)  # (n, 1, 128)
            kind = np.full(len(x), TRAINING) if split == "train" else anomalies(folder, channel)
            yield {"input": x, "y": np.stack([np.full(len(x), number), kind], axis=1)}


def f1(outputs: dict[str, np.ndarray], labels: np.ndarray, margin: float = 1.2) -> float:
    """Twice the anomalies found, divided by the windows flagged plus the anomalies there are.

    A window is flagged if its error exceeds, by the margin, the 95th percentile of the errors on
    its channel's training windows. With no margin, rounding would decide on a constant channel.

    Args:
        outputs: "residual" (n, 1, 128), of any number of channels.
        labels: (n, 2), each window's channel and one of NORMAL, ANOMALY, TRAINING.
        margin: a factor.
    """
    error = np.square(outputs["residual"]).mean(axis=(1, 2))  # (n,)
    channel, kind = labels.T  # (n,) each
    flagged = np.zeros(len(error), dtype=bool)
    for each in np.unique(channel):
        usual = np.percentile(error[(channel == each) & (kind == TRAINING)], 95)
        flagged |= (channel == each) & (kind != TRAINING) & (error > margin * usual)
    anomaly = kind == ANOMALY
    return 2 * (flagged & anomaly).sum() / (flagged.sum() + anomaly.sum())


f1.higher_is_better = True


def windows(folder: Path, split: str, channel: str, stride: int = STRIDE) -> np.ndarray:
    """(n, 1, 128): a window of the first column, the telemetry, every `stride` time steps."""
    telemetry = np.load(folder / split / f"{channel}.npy")[:, 0].astype(np.float32)
    return sliding_window_view(telemetry, WINDOW)[::stride, None]


def anomalies(folder: Path, channel: str) -> np.ndarray:
    """(n,): ANOMALY for each test window that touches a labelled sequence, NORMAL for others."""
    with (folder / "labeled_anomalies.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["chan_id"] == channel)
    abnormal = np.full(len(np.load(folder / "test" / f"{channel}.npy")), NORMAL)  # (time,)
    for first, last in json.loads(row["anomaly_sequences"]):
        abnormal[first : last + 1] = ANOMALY
    return sliding_window_view(abnormal, WINDOW)[::STRIDE].max(axis=1)


def data_folder() -> Path:
    """The folder that the environment variable ANOMALY_DATA names."""
    folder = Path(os.environ.get("ANOMALY_DATA", ""))
    if not (folder / "labeled_anomalies.csv").is_file():
        raise FileNotFoundError(
            "set ANOMALY_DATA to the folder that holds train/, test/ and labeled_anomalies.csv."
        )
    return folder

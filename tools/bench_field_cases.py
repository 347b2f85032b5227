"""The models of users that bench_field.py measures, and the options that give their samples.

DIR, the folder of real models and data, holds field/ with the models, and beside it
imagenet_sample/ and detection/, whose photographs some of them take.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

NORMALIZED = ["--divide", "255", "--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"]
LINES = ["--divide", "127.5", "--mean", "1"]


@dataclass(frozen=True)
class Case:
    """A model and its samples.

    Attributes:
        name: the model's file in field/, without its ending.
        calibration: the options of `optimize` that give its samples.
        test: the options of `evaluate` that give samples which no search sees.
        drawn: whether synthetic inputs can stand for its samples (images, sound or tokens).
    """

    name: str
    calibration: list[str]
    test: list[str]
    drawn: bool = True


def cases(shared: Path, made: Path) -> list[Case]:
    """All cases.

    Args:
        shared: the folder of real models and data.
        made: a folder for made samples.
    """
    field, images = shared / "field", shared / "detection" / "images"
    imagenet = [
        "--data", f"{shared}/imagenet_sample/images",
        "--labels", f"{shared}/imagenet_sample/labels.csv",
        "--resize", "256", "--crop", "224", *NORMALIZED,
    ]  # fmt: skip
    line = ["--resize", "48x192", *LINES]
    lines = {part: ["--data", f"{field}/ppocr_rec_{part}.npz"] for part in ("calib", "test")}
    photographs = {
        part: ["--data", str(images / part), "--resize", "416x416"]
        for part in ("train2017", "val2017")
    }
    waves = {part: ["--data", brain_waves(made, part)] for part in ("calib", "test")}
    sound = f"{field}/silero_frames.py"
    return [
        Case("ppocr_cls", [*lines["calib"], *line], [*lines["test"], *line]),
        Case("ppocr_rec", [*lines["calib"], *LINES], [*lines["test"], *LINES]),
        Case(
            "magika",
            ["--data", f"{field}/magika_calib.npz"],
            ["--data", f"{field}/magika_test.npz"],
        ),
        Case("captcha_det", photographs["train2017"], photographs["val2017"]),
        Case("silero_vad", ["--data", f"{sound}:calib"], ["--data", f"{sound}:test"]),
        Case("eeg_conv", waves["calib"], waves["test"], drawn=False),
        Case(
            "efficientnet_lite0",
            [*imagenet, "--split", "calib"],
            [*imagenet, "--split", "test"],
        ),
    ]


def brain_waves(made: Path, part: str) -> str:
    """A file of samples for the model that takes EEG: normally distributed, as none are given."""
    path = made / f"eeg_{part}.npz"
    if not path.exists():
        rng = np.random.default_rng(["calib", "test"].index(part))
        np.savez(path, x=rng.standard_normal((8, 100, 200), np.float32))
    return str(path)

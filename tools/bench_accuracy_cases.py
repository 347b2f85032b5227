"""The real models that benchmarks measure, and the data of each.

All of them lie in one folder, which the benchmarks take as --shared DIR:

- cifar10/resnet20.onnx, with calib.npz and test.npz; mlperf_tiny/ic_resnet8.onnx takes these, too;
- keyword_spotting/ds_cnn.onnx, with calib.npz and test.npz;
- imagenet_sample/squeezenet1_1.onnx, with images/ and labels.csv; field/efficientnet_lite0.onnx
  takes these, too;
- detection/nanodet_320.onnx, with images/ and labels/ as examples/detection.py reads them.

The data to calibrate on come without labels.
"""

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnx_evoq import Data
from onnx_evoq.setup import Granularity

DETECTION = Path(__file__).parent.parent / "examples" / "detection.py"

STEPS: dict[str, Any] = {
    "divide": 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225),
}  # fmt: skip

Feeds = Callable[[Path, int, ExitStack], tuple[Data, Data]]


@dataclass(frozen=True)
class Case:
    """A model and how it is measured.

    Attributes:
        model: its file, in the folder of real models and data.
        data: gives its calibration and test data, of that folder.
        metric: "top1", "agreement" with the float model, or a function of the user's.
        rows: bits -> granularity.
    """

    model: str
    data: Feeds
    metric: str
    rows: Mapping[int, Granularity]


def unlabelled(file: Path, samples: int, **steps: Any) -> Data:
    """The first samples of an .npz file, without their labels."""
    with np.load(file) as arrays:
        return Data({"x": arrays["x"][:samples]}, **steps)


def cifar(shared: Path, samples: int, _: ExitStack) -> tuple[Data, Data]:
    """CIFAR-10 images, scaled."""
    folder = shared / "cifar10"
    calibration = unlabelled(folder / "calib.npz", samples, **STEPS)
    return calibration, Data(folder / "test.npz", **STEPS)


def raw_cifar(shared: Path, samples: int, _: ExitStack) -> tuple[Data, Data]:
    """The same, 0 to 255."""
    folder = shared / "cifar10"
    return unlabelled(folder / "calib.npz", samples), Data(folder / "test.npz")


def keywords(shared: Path, samples: int, _: ExitStack) -> tuple[Data, Data]:
    """Spectra of spoken words."""
    folder = shared / "keyword_spotting"
    return unlabelled(folder / "calib.npz", samples), Data(folder / "test.npz")


def imagenet(shared: Path, samples: int, stack: ExitStack) -> tuple[Data, Data]:
    """One image per class; those to calibrate on are linked into a folder without labels."""
    folder = shared / "imagenet_sample"
    labels, images = folder / "labels.csv", folder / "images"
    rows = [line.split(",") for line in labels.read_text(encoding="utf-8").split()]
    links = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    for file, _, split in rows:
        if split == "calib":
            (links / file).symlink_to((images / file).resolve())
    return (
        Data(links, samples=samples, crop=224, **STEPS),
        Data(images, labels=labels, split="test", crop=224, **STEPS),
    )


def detection(shared: Path, samples: int, _: ExitStack) -> tuple[Data, Data]:
    """Photographs with boxes."""
    os.environ["DETECTION_DATA"] = str(shared / "detection")
    return Data(f"{DETECTION}:calibration", samples=samples), Data(f"{DETECTION}:val")


TENSOR_AND_CHANNEL: Mapping[int, Granularity] = {4: "tensor", 3: "tensor", 2: "channel"}
CASES = {
    case.model.rpartition("/")[2].removesuffix(".onnx"): case
    for case in (
        Case("cifar10/resnet20.onnx", cifar, "top1", TENSOR_AND_CHANNEL),
        Case("mlperf_tiny/ic_resnet8.onnx", raw_cifar, "top1", TENSOR_AND_CHANNEL),
        Case("keyword_spotting/ds_cnn.onnx", keywords, "top1", {4: "tensor", 3: "tensor"}),
        Case(
            "imagenet_sample/squeezenet1_1.onnx", imagenet, "agreement", {4: "tensor", 3: "tensor"}
        ),
        Case("field/efficientnet_lite0.onnx", imagenet, "top1", {4: "channel", 6: "tensor"}),
        Case(
            "detection/nanodet_320.onnx",
            detection,
            f"{DETECTION}:mean_ap",
            {6: "tensor", 4: "channel"},
        ),
    )
}
WITHOUT_DATA: Mapping[str, Mapping[int, Granularity]] = {"resnet20": {4: "channel", 6: "tensor"}}

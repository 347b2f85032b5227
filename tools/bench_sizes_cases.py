"""The models and data that bench_sizes.py measures: models of users, and made ones of their size.

DIR, the folder of real models and data, holds

- field/ppocr_cls.onnx, field/eeg_conv.onnx, field/efficientnet_lite0.onnx, and field/ppocr_rec.onnx
  with field/ppocr_rec_calib.npz; their cases are left out without them;
- detection/images/train2017 and imagenet_sample/images: photographs. Made models take them where
  they are, and synthetic images otherwise.

Made models and data are written into a folder, and used again if they are there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from size_graph import count_weights
from size_models import bert, resnet, wide, yolov8n

PHOTOGRAPHS = "imagenet_sample/images"
STREETS = "detection/images/train2017"
TOKENS, WORDS = 128, 30522
NORMALIZED = ["--divide", "255", "--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"]


@dataclass(frozen=True)
class Place:
    """Where a case finds its model and data, or makes them.

    Attributes:
        shared: the folder of real models and data, if there is one.
        made: the folder of made ones.
    """

    shared: Path | None
    made: Path

    def real(self, name: str) -> Path | None:
        """A file or folder of the real ones, if it is there."""
        return self.shared / name if self.shared and (self.shared / name).exists() else None

    def array(self, name: str, make: Callable[[np.random.Generator], np.ndarray]) -> str:
        """A file of made samples."""
        file = self.made / f"{name}.npz"
        if not file.exists():
            np.savez(file, x=make(np.random.default_rng(0)))
        return str(file)


@dataclass(frozen=True)
class Case:
    """A model, its samples, and how both come about.

    Attributes:
        name: unlike those of other cases.
        model: its file, among the real ones, or among the made ones if there is `make`.
        samples: how many.
        data: the options that give the samples to `optimize`.
        make: writes the model.
    """

    name: str
    model: str
    samples: int
    data: Callable[[Place, int], list[str]]
    make: Callable[[Path], None] | None = None


@dataclass(frozen=True)
class Ready:
    """What a case has become: a file, its weights, and the options that give the samples."""

    model: Path
    weights: int
    options: list[str]


def prepared(case: Case, place: Place) -> Ready | None:
    """Find or make the model and the samples; None if one is missing."""
    if case.make:
        model = place.made / case.model
        if not model.exists():
            case.make(model)
    else:
        found = place.real(case.model)
        if not found:
            return None
        model = found
    return Ready(model, count_weights(model), case.data(place, case.samples))


def no_data(_: Place, samples: int) -> list[str]:
    """Synthetic inputs, which `optimize` draws itself."""
    return ["--samples", str(samples)]


def photographs(source: str, size: int, steps: list[str], place: Place, samples: int) -> list[str]:
    """Square images: photographs, or coarse patterns with noise."""
    folder = place.real(source)
    if folder:
        cut = ["--resize", str(size), "--crop", str(size)]
        return ["--data", str(folder), "--samples", str(samples), *cut, *steps]

    def patterns(rng: np.random.Generator) -> np.ndarray:
        coarse = rng.integers(256, size=(samples, 3, -(-size // 16), -(-size // 16)))
        fine = coarse.repeat(16, 2).repeat(16, 3)[..., :size, :size]
        return np.clip(fine + rng.normal(0, 20, fine.shape), 0, 255).astype(np.uint8)

    return ["--data", place.array(f"images_{samples}_{size}", patterns), *steps]


def brain_waves(place: Place, samples: int) -> list[str]:
    """Noise, in 100 channels of 200 instants."""
    shape = samples, 100, 200
    return ["--data", place.array("eeg", lambda rng: rng.standard_normal(shape, np.float32))]


def lines(place: Place, samples: int) -> list[str]:
    """Drawn lines of text."""
    file = place.real("field/ppocr_rec_calib.npz")
    return ["--data", str(file), "--samples", str(samples), "--divide", "127.5", "--mean", "1"]


def sentences(place: Place, samples: int) -> list[str]:
    """Random words."""
    shape = samples, TOKENS
    return ["--data", place.array("ids", lambda rng: rng.integers(WORDS, size=shape))]


def resnet18(width: float, samples: int, size: int, name: str = "") -> Case:
    """A ResNet-18 of another width, number of samples or image size."""
    return Case(
        name or f"resnet18 x{width:g}, {samples} of {size}",
        f"resnet18_{width:g}_{size}.onnx",
        samples,
        partial(photographs, PHOTOGRAPHS, size, NORMALIZED),
        partial(resnet, blocks=(2, 2, 2, 2), bottleneck=False, width=width, size=size),
    )


def yolo(samples: int) -> Case:
    """A YOLOv8n of 320 pixels."""
    data = partial(photographs, STREETS, 320, ["--divide", "255"])
    return Case(f"yolov8n, {samples}", "yolov8n.onnx", samples, data, yolov8n)


CASES = (
    Case("ppocr_cls", "field/ppocr_cls.onnx", 256, no_data),
    Case("gemm9216", "gemm9216.onnx", 32, no_data, wide),
    Case("eeg", "field/eeg_conv.onnx", 8, brain_waves),
    yolo(8),
    yolo(64),
    Case("ppocr_rec", "field/ppocr_rec.onnx", 64, lines),
    Case(
        "efficientnet_lite0",
        "field/efficientnet_lite0.onnx",
        500,
        partial(photographs, PHOTOGRAPHS, 224, NORMALIZED),
    ),
    resnet18(1, 64, 224, "resnet18, 64"),
    resnet18(1, 256, 224, "resnet18, 256"),
    Case(
        "resnet50, 128",
        "resnet50.onnx",
        128,
        partial(photographs, PHOTOGRAPHS, 224, NORMALIZED),
        partial(resnet, blocks=(3, 4, 6, 3), bottleneck=True),
    ),
    Case("bert", "bert.onnx", 64, sentences, partial(bert, tokens=TOKENS, vocabulary=WORDS)),
)

# What grows -> its values; the other two stay at the values of SMALL.
SMALL = {"width": 0.5, "samples": 64, "size": 96}
GROWTH = {"width": (0.25, 0.5, 1), "samples": (32, 64, 128, 256), "size": (96, 160, 224)}


def growth() -> dict[str, list[Case]]:
    """Cases in which one of weights, samples and image size grows."""
    return {
        factor: [resnet18(**{**SMALL, factor: value}) for value in values]  # type: ignore[arg-type]
        for factor, values in GROWTH.items()
    }

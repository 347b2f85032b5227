"""The files that tools/check_runtimes.py hands to runtimes: each kind that `optimize` emits.

The float model comes first, so that what a runtime cannot do with it is not held against the
others. A kind's name says its bits: W4A8 has weights of 4 bits and activations of 8. Of those with
weights alone, it says the type that holds them; of some the target. Steps are powers of two, one
per tensor, where it says nothing else.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench_accuracy_cases import CASES

import onnx_evoq
from onnx_evoq import Data, Grid
from onnx_evoq.array_types import Array
from onnx_evoq.data import load_samples
from onnx_evoq.model import input_specs, load, serialize
from onnx_evoq.score import Session
from onnx_evoq.setup import own_options

KINDS: Mapping[str, Mapping[str, Any] | None] = {
    "float model": None,  # as it is
    "W6 INT8": {"bits": 6},
    "W6 INT8 channel": {"bits": 6, "grid": Grid("channel")},
    "W4 INT8": {"bits": 4, "storage": "int8"},
    "W4 INT4": {"bits": 4},
    "W2 INT2 channel": {"bits": 2, "grid": Grid("channel")},
    "W4 float": {"bits": 4, "format": "float"},
    "W8A8": {"bits": 8, "grid": Grid(activations=8)},
    "W4A8": {"bits": 4, "grid": Grid(activations=8)},
    "W4A8 channel": {"bits": 4, "grid": Grid("channel", activations=8)},
    "W4A8 any step": {
        "bits": 4, "grid": Grid(scale="float", activations=8, activation_scale="float"),
    },
    "W4A4": {"bits": 4, "grid": Grid(activations=4)},  # Clip stands between Q and DQ
    "W8A16": {"bits": 8, "grid": Grid(activations=16)},
    "W8A8 tensorrt": {"bits": 8, "grid": Grid(activations=8), "target": "tensorrt"},
    "W4A8 portable": {"bits": 4, "grid": Grid(activations=8), "target": "portable"},
    "W4A4 portable": {"bits": 4, "grid": Grid(activations=4), "target": "portable"},
}  # fmt: skip
SHARED = ("resnet20", "ic_resnet8", "ds_cnn")  # of bench_accuracy_cases.py: those with classes

MODELS = Path(__file__).parent.parent / "models"
OWN = ("digits_resnet", "digits_transformer")
CALIBRATION = 64  # samples
TESTED = 64  # samples


@dataclass(frozen=True)
class Case:
    """A float model and its data."""

    name: str
    model: Path
    calibration: Data
    test: Data


@dataclass(frozen=True)
class Emitted:
    """A file, and what it should compute.

    Attributes:
        model: the name of the float model.
        kind: of KINDS.
        opset: its operator set.
        content: the bytes of the file.
        feed: inputs by name, (samples, ...).
        outputs: what was scored, by name, (samples, ...).
    """

    model: str
    kind: str
    opset: int
    content: bytes
    feed: Mapping[str, Array]
    outputs: Mapping[str, Array]


def own_cases() -> Iterator[Case]:
    """A convolutional network and a transformer of this project."""
    for name in OWN:
        calibration = Data(MODELS / "digits_calib.npz", samples=CALIBRATION)
        yield Case(name, MODELS / f"{name}.onnx", calibration, Data(MODELS / "digits_test.npz"))


def shared_cases(shared: Path, stack: ExitStack) -> Iterator[Case]:
    """The real models with classes that lie in a folder, as bench_accuracy_cases.py says."""
    for name in SHARED:
        case = CASES[name]
        yield Case(name, shared / case.model, *case.data(shared, CALIBRATION, stack))


def emitted(case: Case, kind: str) -> Emitted:
    """What `optimize` makes of a model without a search, and what ONNX Runtime computes with it."""
    model = load(case.model)
    specs, settings = input_specs(model), KINDS[kind]
    if settings is not None:
        model = onnx_evoq.optimize(
            case.model, case.calibration, strategy="none", time_budget=None, **settings
        ).model
    samples = load_samples(case.test, specs).groups[0].inputs
    feed = {name: np.ascontiguousarray(values[:TESTED]) for name, values in samples.items()}
    content = serialize(model)
    outputs = Session(content, options=own_options(model)).run(feed)
    return Emitted(case.name, kind, model.opset_import[0].version, content, feed, outputs)

"""Load samples from any source, and preprocess them into a model's inputs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import one_group
from onnx_evoq.data.fit_to_model import fit_to_model
from onnx_evoq.data.preprocess import Preprocess
from onnx_evoq.data.reading import (
    Feed,
    Limit,
    Raw,
    array_files,
    from_iterable,
    from_mapping,
    has_images,
    read_arrays,
    read_feeds,
    read_folder,
)
from onnx_evoq.data.samples import Samples
from onnx_evoq.errors import DataError
from onnx_evoq.progress import Progress, silent
from onnx_evoq.signature import TensorSpec
from onnx_evoq.user_function import is_import_path, load_function

_FEW_ALIKE = 2  # samples of one shape, on average

Source = (
    str
    | Path
    | np.ndarray[Any, Any]
    | Mapping[str, np.ndarray[Any, Any] | Sequence[Any]]
    | Iterable[Any]
    | Callable[[], Iterable[Any]]
)


@dataclass(frozen=True)
class Data:
    """Calibration or test data, and their preprocessing.

    Attributes:
        source: an .npz (arrays named like the model's inputs, or `x`; labels in `y`), an .npy, a
            folder of images, a folder of .npz or .npy files with one feed each,
            ``package.module:function``, an array (samples, ...), a mapping of arrays (or of lists
            of one array for each sample), or an iterable of ``{input: array}`` feeds. Shapes may
            differ from feed to feed. None draws synthetic inputs.
        labels: a CSV file with the columns file,label and optionally split (image folders only).
        split: the value of the column split in the rows to use.
        samples: how many samples to use, the first ones. Class folders are taken in turn, so that
            the first samples are balanced.
        divide: the number by which values are divided.
        mean: a value per channel, or one for all, that is subtracted after the division.
        std: a value per channel, or one for all, by which the difference is divided.
        layout: "nchw" or "nhwc", the layout that the model takes; None to guess it from the input.
        color: "rgb", or "bgr" for a model that takes blue first.
        resize: (height, width), or one number for the shorter side.
        crop: (height, width) of the centre that is used, or one number for a square.
        input_range: the lowest and highest value of synthetic inputs; None for those that the
            model's first nodes or its BatchNormalization nodes expect, or else about -2 to 2.
            Indices, masks and the like keep the values that the model can take.

    Example:
        >>> Data("images/", divide=255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225),
        ...      resize=256, crop=224).samples is None
        True
    """

    source: Source | None = None
    labels: str | Path | None = None
    split: str | None = None
    samples: int | None = None
    divide: float | None = None
    mean: Sequence[float] | float | None = None
    std: Sequence[float] | float | None = None
    layout: str | None = None
    color: str = "rgb"
    resize: int | tuple[int, int] | None = None
    crop: int | tuple[int, int] | None = None
    input_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.samples is not None and self.samples < 1:
            raise DataError(f"samples {self.samples} is too few: give a few hundred.")
        if self.input_range is not None and not self.input_range[0] < self.input_range[1]:
            raise DataError(f"input_range {self.input_range} is empty: give (lowest, highest).")
        if self.layout not in (None, "nchw", "nhwc"):
            raise DataError(f"layout {self.layout!r} is unknown: choose nchw or nhwc.")
        if self.color not in ("rgb", "bgr"):
            raise DataError(f"color {self.color!r} is unknown: choose rgb or bgr.")

    @property
    def preprocess(self) -> Preprocess:
        """The preprocessing steps."""
        mean, std = (
            (numbers,) if isinstance(numbers, int | float) else numbers
            for numbers in (self.mean, self.std)
        )
        return Preprocess(self.divide, mean, std, self.layout, self.color, self.resize, self.crop)


def always(feed: Arrays) -> bool:
    """The answer for a model that keeps the rows of each feed apart."""
    return True


def as_data(source: Data | Source | None) -> Data:
    """Wrap a source in `Data`; `Data` is returned as it is."""
    return source if isinstance(source, Data) else Data(source)


def load_samples(
    data: Data,
    specs: Sequence[TensorSpec],
    progress: Progress = silent,
    memory: int | None = None,
    keeps_rows_apart: Callable[[Arrays], bool] = always,
) -> Samples:
    """Read data and make them fit the model's inputs.

    Args:
        data: the source and its preprocessing.
        specs: the model's inputs.
        progress: shows a progress bar.
        memory: bytes that samples may take: no more are read. None for any.
        keeps_rows_apart: says whether the model gives each row of a feed the outputs that it has
            by itself; else the feed of a reader is one sample.

    Raises:
        DataError: the data cannot be read, are empty, or do not fit the model.
    """
    if data.source is None:
        raise DataError("there are no samples to read: name a source.")
    if data.input_range is not None:
        raise DataError("input_range is for synthetic inputs: leave it out where data are given.")

    def rows_are_samples(feed: Feed) -> bool:
        fed = fit_to_model(Raw([one_group(feed)], None, "a feed"), specs, data.preprocess)
        return keeps_rows_apart(fed.groups[0].inputs)

    limit = Limit(data.samples, memory)
    raw = _read(data, data.source, specs, limit, rows_are_samples, progress)
    if not sum(len(group.places) for group in raw.groups):
        raise DataError(f"{raw.source}: holds no samples: give a few hundred.")
    steps = data.preprocess
    rest = replace(steps, resize=None, crop=None) if raw.sized else steps
    fitted = fit_to_model(raw, specs, rest, limit)
    return replace(fitted, notes=(*fitted.notes, *_note_on_shapes(fitted, steps)))


def _note_on_shapes(samples: Samples, steps: Preprocess) -> list[str]:
    """A note if most samples have a shape that no other has, so that they are run one by one."""
    shapes, count = len(samples.groups), len(samples)
    if shapes == 1 or _FEW_ALIKE * shapes <= count:
        return []
    images = any(array.ndim == 4 for array in samples.groups[0].inputs.values())
    way = ": resize and crop give images one size" if images and steps.resize is None else ""
    return [
        f"{samples.source}: the {count} samples have {shapes} shapes, and only those of one shape "
        f"are run together, which takes longer{way}."
    ]


def refuse_preprocessing(data: Data) -> None:
    """Raise DataError if there are steps: synthetic inputs are drawn as the model takes them."""
    for name in ("labels", "split", "divide", "mean", "std", "layout", "resize", "crop"):
        if getattr(data, name) is not None:
            raise DataError(f"{name} is given, but no data that it applies to: name the data too.")
    if data.color != "rgb":
        raise DataError("color is given, but no data that it applies to: name the data too.")


def _refuse_labels(data: Data, source: str) -> None:
    """Raise DataError if there is a labels file, as the source is no folder of images."""
    if data.labels is not None or data.split is not None:
        raise DataError(f"{source}: labels and split files go with image folders only.")


def _read(
    data: Data,
    source: Source,
    specs: Sequence[TensorSpec],
    limit: Limit,
    rows_are_samples: Callable[[Feed], bool],
    progress: Progress,
) -> Raw:
    """Read a source by its type."""
    if isinstance(source, str | Path) and not is_import_path(str(source)):
        path = Path(source)
        try:
            is_folder, is_there = path.is_dir(), path.exists()
        except OSError as cause:  # a name that is too long, a folder that is locked
            raise DataError(f"{path}: cannot be read: {cause.strerror}.") from cause
        if is_folder:
            files = array_files(path)
            if files and not has_images(path):
                _refuse_labels(data, str(path))
                return read_feeds(files, path, specs, limit, rows_are_samples)
            return read_folder(
                path, data.labels, data.split, limit, data.preprocess, specs, progress
            )
        if not is_there:
            raise DataError(f"{path}: no such file or folder.")
        _refuse_labels(data, str(path))
        if path.suffix in (".npz", ".npy"):
            return read_arrays(path, specs, limit)
        raise DataError(f"{path}: is neither .npz, .npy, a folder nor package.module:function.")
    _refuse_labels(data, source if isinstance(source, str) else "the data")
    if isinstance(source, str | Path):
        function = load_function(str(source), DataError)
        return from_iterable(function, str(source), specs, limit, rows_are_samples)
    if isinstance(source, np.ndarray):
        return from_mapping({"x": source}, "the array", specs, limit)
    if isinstance(source, Mapping):
        return from_mapping(source, "the data", specs, limit)
    return from_iterable(source, "the data", specs, limit, rows_are_samples)

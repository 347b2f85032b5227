"""Read a folder of images, with labels from class sub-folders or a CSV file, or without labels.

Pillow, an optional extra, reads and resizes the images.
"""

import csv
from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from onnx_evoq.data.preprocess import (
    Preprocess,
    centre_crop,
    channels_last,
    require_pillow,
    resized,
    resized_to,
)
from onnx_evoq.data.reading.limit import Limit, bytes_as_fed
from onnx_evoq.data.reading.raw import Raw, grouped
from onnx_evoq.data.reading.regular_file import check_regular
from onnx_evoq.errors import DataError
from onnx_evoq.progress import Progress, silent, stepping
from onnx_evoq.signature import TensorSpec

if TYPE_CHECKING:
    from PIL.Image import Image

_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}


def read_folder(
    folder: Path,
    labels: str | Path | None,
    split: str | None,
    limit: Limit,
    steps: Preprocess,
    specs: Sequence[TensorSpec],
    progress: Progress = silent,
) -> Raw:
    """Read images as uint8, (samples, h, w, c) or (samples, c, h, w) in the model's layout.

    Class sub-folders are numbered in the order of their names, or by value if all names are
    numbers. Their images are taken in turn, so that the first samples are balanced. Images may
    differ in size where the model takes any.

    Args:
        folder: the folder of images.
        labels: a CSV file with the columns file,label and optionally split.
        split: which rows of the CSV file to use.
        limit: how many images to read.
        steps: resize and crop are done here. Without them, images that do not have the model's
            size are resized to cover it and cropped to it.
        specs: the model's only input.
        progress: shows a progress bar.

    Raises:
        DataError: there are no images, an image or the CSV file cannot be read, the model has
            several inputs, or Pillow is missing.
    """
    if len(specs) != 1:
        raise DataError(
            f"{folder}: a folder of images goes with a model of one input, not {len(specs)}."
        )
    numbers: list[int] | None
    if labels is not None:
        files, numbers = _from_csv(folder, Path(labels), split)
    elif split is not None:
        raise DataError(f"split {split!r} needs a labels file with a column 'split' (--labels).")
    else:
        files, numbers = _from_folder(folder)
    files = files[: limit.samples]
    if not files:
        raise DataError(f"{folder}: holds no images: give a few hundred.")
    last = channels_last(specs[0], steps.layout)
    size, channels = _model_size(specs[0], last)
    images, taken = list[NDArray[np.uint8]](), 0  # (1, h, w, c) each
    notes, full = set[str](), tuple[str, ...]()
    mode = "L" if channels == 1 else "RGB"
    with progress("images", len(files)) as step:
        for file in stepping(files, step):
            image = _open(file, mode, steps, size, limit, notes)[None]
            taken += bytes_as_fed(image.size, image.dtype, specs[0])
            if not limit.allows(len(images), taken):
                full = (limit.note(len(images), len(files), str(folder)),)
                break
            images.append(image if last else image.transpose(0, 3, 1, 2))
    groups = grouped([{specs[0].name: image} for image in images])
    return Raw(
        groups,
        None if numbers is None else np.asarray(numbers[: len(images)]),
        str(folder),
        (*(f"{folder}: {note}" for note in sorted(notes)), *full),
        sized=True,
        own=True,
    )


def _from_folder(folder: Path) -> tuple[list[Path], list[int] | None]:
    """The images of a folder, and their class numbers if there are class sub-folders."""
    classes = _class_folders(folder)
    if not classes:
        return _images_in(folder), None
    numeric = all(path.name.isdecimal() for path in classes)
    classes.sort(key=lambda path: (int(path.name) if numeric else 0, path.name))
    per_class = [[(file, k) for file in _images_in(path)] for k, path in enumerate(classes)]
    pairs = [pair for pair in chain.from_iterable(zip_longest(*per_class)) if pair is not None]
    return [file for file, _ in pairs], [number for _, number in pairs]


def has_images(folder: Path) -> bool:
    """Whether a folder, or one of its class sub-folders, has images."""
    return any(_images_in(each) for each in (folder, *_class_folders(folder)))


def _class_folders(folder: Path) -> list[Path]:
    return [
        path
        for path in listed_files(folder)
        if path.is_dir() and not path.name.startswith(".") and not _is_image(path)
    ]


def _images_in(folder: Path) -> list[Path]:
    return sorted(path for path in listed_files(folder) if _is_image(path))


def _is_image(path: Path) -> bool:
    """Whether a path is named as an image is; whether it is one shows when it is read."""
    return path.suffix.lower() in _ENDINGS


def listed_files(folder: Path) -> list[Path]:
    """All that is in a folder.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return list(folder.iterdir())
    except OSError as cause:
        raise DataError(f"{folder}: cannot be read: {cause.strerror}.") from cause


def _from_csv(folder: Path, table: Path, split: str | None) -> tuple[list[Path], list[int]]:
    """The images and labels that a CSV file lists."""
    check_regular(table)
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), set(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as cause:
        raise DataError(f"{table}: cannot be read as CSV: {cause}.") from cause
    needed = {"file", "label"} | ({"split"} if split is not None else set())
    missing = sorted(needed - columns)
    if missing:
        raise DataError(
            f"{table}: has no column {missing[0]!r}: name the columns file,label,split."
        )
    rows = [row for row in rows if split is None or row["split"] == split]
    if not rows:
        which = "has no rows" if split is None else f"no row has the split {split!r}"
        raise DataError(f"{table}: {which}.")
    short = next((k for k, row in enumerate(rows, 1) if None in (row["file"], row["label"])), None)
    if short is not None:
        raise DataError(f"{table}: row {short} has no file or no label: fill it in or remove it.")
    absent = next((row["file"] for row in rows if not (folder / row["file"]).is_file()), None)
    if absent is not None:
        raise DataError(f"{table}: names {absent!r}, which is not in {folder}.")
    try:
        return [folder / row["file"] for row in rows], [int(row["label"]) for row in rows]
    except ValueError as cause:
        raise DataError(f"{table}: a label is not a whole number ({cause}).") from cause


def _model_size(spec: TensorSpec, last: bool) -> tuple[tuple[int, int] | None, int | None]:
    """(height, width) and channels of the model's images; None where the model leaves them open."""
    if spec.shape is None or len(spec.shape) != 4:
        raise DataError(
            f"images need an input of four axes, and {spec.name!r} is {spec.describe()}: "
            "give arrays (.npz) instead."
        )
    _, *axes = spec.shape
    height, width, channels = axes if last else (axes[1], axes[2], axes[0])
    size = None if height is None or width is None else (height, width)
    return size, channels


def _open(
    file: Path,
    mode: str,
    steps: Preprocess,
    size: tuple[int, int] | None,
    limit: Limit,
    notes: set[str],
) -> NDArray[np.uint8]:
    """Read, resize and crop one image, (h, w, c)."""
    pillow = require_pillow()
    check_regular(file)
    try:
        with pillow.open(file) as opened:
            image = opened.convert(mode)
    except MemoryError:
        raise
    except Exception as cause:  # Pillow raises many types, all of them about this file
        if isinstance(cause, OSError) and cause.errno is not None:  # of the disk, not of the image
            raise DataError(f"{file}: cannot be read: {cause.strerror}.") from cause
        raise DataError(f"{file}: cannot be read as an image: remove or replace it.") from cause
    resize, crop = steps.resize, steps.crop
    if resize is None and crop is None and size is not None and (image.height, image.width) != size:
        notes.add(f"images were resized to cover {size[0]}x{size[1]} and cropped to the centre.")
        image = _cover(image, size)
        crop = size
    elif resize is not None:
        height, width = resized_to((image.height, image.width), resize)
        limit.check(height * width * len(image.getbands()), f"{file} resized to {height}x{width}")
        image = resized(image, resize)
    pixels = np.asarray(image, np.uint8)
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels  # (h, w, c)
    return pixels if crop is None else centre_crop(pixels[None], crop, True, str(file))[0]


def _cover(image: "Image", size: tuple[int, int]) -> "Image":
    """Resize an image, with its proportions, to the smallest size that covers (height, width)."""
    ratio = max(size[0] / image.height, size[1] / image.width)
    height, width = round(image.height * ratio), round(image.width * ratio)
    return resized(image, (max(size[0], height), max(size[1], width)))

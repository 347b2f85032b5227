"""An object detector: how to read its images, and its mean average precision.

For NanoDet at 320 x 320 (batch fixed at 1) on images in folders with labels in YOLO's text format::

    export DETECTION_DATA=coco128  # images/{train2017,val2017}/*.jpg, labels/val2017/*.txt
    onnx-evoq optimize nanodet_320.onnx --bits 6 --data examples/detection.py:calibration
    onnx-evoq evaluate nanodet_320.w6.onnx --data examples/detection.py:val \\
        --metric examples/detection.py:mean_ap --reference nanodet_320.onnx

Copy it and change what your detector does otherwise: `letterboxed` (before the model) and
`decoded` (after it). The rest is the same for any detector.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = 320
MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)  # blue, green, red

SCORE, OVERLAP, CANDIDATES, DETECTIONS = 0.05, 0.6, 1000, 100  # of non-maximum suppression
THRESHOLDS = np.linspace(0.5, 0.95, 10)  # of the overlap that counts as found
RECALLS = np.linspace(0, 1, 101)

Floats = NDArray[np.floating]


def calibration() -> Iterator[dict[str, Floats]]:
    """Images without labels, one per feed."""
    for path in images("train2017"):
        yield {"image": letterboxed(path)[0]}


def val() -> Iterator[dict[str, Floats]]:
    """Images with labels: y (1, boxes, 5), a row per box, of -1 where there is none."""
    paths = images("val2017")
    rows = [read_labels(path) for path in paths]
    most = max(map(len, rows))
    for path, found in zip(paths, rows, strict=True):
        image, scale, offset = letterboxed(path)
        y = np.full((1, most, 5), -1.0)
        y[0, : len(found), 0] = found[:, 0]
        y[0, : len(found), 1:] = corners(found[:, 1:]) * np.tile(scale, 2) + np.tile(offset, 2)
        yield {"image": image, "y": y}


def images(split: str) -> list[Path]:
    """The images of a split, in the order of their names."""
    folder = Path(os.environ.get("DETECTION_DATA", ".")) / "images" / split
    paths = sorted(folder.glob("*.jpg"))
    if not paths:
        raise FileNotFoundError(
            f"{folder} holds no images: name the folder of images/ and labels/ in DETECTION_DATA."
        )
    return paths


def read_labels(image: Path) -> Floats:
    """An image's labels, (boxes, 5): class, centre x and y, width, height in parts of the image."""
    path = Path(*image.parts[:-3], "labels", image.parts[-2], f"{image.stem}.txt")
    text = path.read_text() if path.exists() else ""  # no file, no objects
    return np.array(text.split(), float).reshape(-1, 5)


def corners(boxes: Floats) -> Floats:
    """(boxes, 4) of centre, width and height as left, top, right and bottom."""
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    return np.hstack([centre - half, centre + half])


def letterboxed(path: Path) -> tuple[Floats, tuple[int, int], tuple[int, int]]:
    """The model's input (1, 3, 320, 320), and where in it the image lies.

    The image keeps its proportions, in the middle of a black square; blue comes first.
    Pixels are interpolated between the four nearest, however small the image becomes: with
    `Image.resize`, which averages more of them, this model loses half a point of mAP.

    Returns:
        The input, the (width, height) of the image in it, and its (left, top).
    """
    image = Image.open(path).convert("RGB")
    width, height = (max(1, side * SIZE // max(image.size)) for side in image.size)
    left, top = (SIZE - width) // 2, (SIZE - height) // 2
    x, y = image.width / width, image.height / height  # pixels of the image per pixel of the input
    square = image.transform(
        (SIZE, SIZE),
        Image.Transform.AFFINE,
        (x, 0, -left * x, 0, y, -top * y),
        Image.Resampling.BILINEAR,
    )
    pixels = (np.asarray(square)[:, :, ::-1] - MEAN) / STD
    return pixels.transpose(2, 0, 1)[None].astype(np.float32), (width, height), (left, top)


def mean_ap(outputs: Mapping[str, Floats], labels: Floats | None) -> float:
    """COCO's mAP: the mean over classes and overlaps of .50 to .95, precision at 101 recalls.

    Args:
        outputs: name -> (images, ...).
        labels: (images, boxes, 5): class, left, top, right, bottom; class -1 for no box.
    """
    return float(average_precisions(outputs, labels).mean())


mean_ap.higher_is_better = True


def ap50(outputs: Mapping[str, Floats], labels: Floats | None) -> float:
    """The same at an overlap of one half."""
    return float(average_precisions(outputs, labels)[:, 0].mean())


ap50.higher_is_better = True


def average_precisions(outputs: Mapping[str, Floats], labels: Floats | None) -> Floats:
    """Average precision of each class that has labels, (classes, thresholds)."""
    if labels is None:
        raise ValueError("boxes are needed to compare with: give data with labels (y).")
    found = []  # of each image: classes, scores, and (detections, thresholds) right or not
    for scores, boxes, truth in zip(*decoded(outputs), labels, strict=True):
        kinds, ranks, indices = detections(scores, boxes)
        found.append((kinds, ranks, matched(kinds, indices, truth[truth[:, 0] >= 0])))
    kind, rank, hit = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(-rank, kind="stable")
    kind, hit = kind[order], hit[order]
    present, counts = np.unique(labels[..., 0][labels[..., 0] >= 0], return_counts=True)
    return np.array(
        [precision(hit[kind == each], n) for each, n in zip(present, counts, strict=True)]
    )


def decoded(outputs: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    """Scores (images, cells, 80) and boxes (images, cells, 4) as corners in pixels.

    Each stride has an output of 80 scores per cell, and one of 4 sides * 8 bins: the distance of a
    side from the cell's centre in strides is the mean of softmax(bins). Shapes tell which output
    is which; the names of this export do not.
    """
    by_shape = {values.shape[1:]: values for values in outputs.values()}
    scores, boxes = [], []
    for stride in (8, 16, 32):
        cells = SIZE // stride
        scores.append(by_shape[cells**2, 80])
        bins = by_shape[cells**2, 32].reshape(-1, cells**2, 4, 8)
        weights = np.exp(bins - bins.max(axis=-1, keepdims=True))
        distances = stride * (weights @ np.arange(8)) / weights.sum(axis=-1)  # (.., cells, 4)
        y, x = np.divmod(np.arange(cells**2), cells)
        centre = (np.stack([x, y], axis=1) + 0.5) * stride  # (cells, 2)
        boxes.append(
            np.concatenate([centre - distances[..., :2], centre + distances[..., 2:]], axis=-1)
        )
    return np.concatenate(scores, axis=1), np.concatenate(boxes, axis=1)


def detections(scores: Floats, boxes: Floats) -> tuple[NDArray[np.intp], Floats, Floats]:
    """What is found in one image: classes, scores and boxes, the best first.

    Of boxes of one class that overlap, the best stays (non-maximum suppression).

    Args:
        scores: (cells, classes).
        boxes: (cells, 4).
    """
    cell, kind = np.nonzero(scores > SCORE)
    score = scores[cell, kind]
    best = np.argsort(-score, kind="stable")[:CANDIDATES]
    kind, score, box = kind[best], score[best], boxes[cell[best]]
    worse, better = np.nonzero(np.tril(kind[:, None] == kind, -1))  # (pairs,) of one class
    rivals = overlaps(box[worse], box[better]) > OVERLAP
    worse, better = worse[rivals], better[rivals]
    before, stays = np.zeros(len(kind), bool), np.ones(len(kind), bool)
    while not np.array_equal(before, stays):  # each turn settles those whose rivals are settled
        before, stays = stays, np.ones(len(kind), bool)
        stays[worse[before[better]]] = False
    kept = np.flatnonzero(stays)[:DETECTIONS]
    return kind[kept], score[kept], box[kept]


def matched(kind: NDArray[np.intp], boxes: Floats, truth: Floats) -> NDArray[np.bool_]:
    """Which detections find a box that no better one has found, (detections, thresholds)."""
    hits = np.zeros((len(kind), len(THRESHOLDS)), bool)
    overlap = np.where(kind[:, None] == truth[:, 0], overlaps(boxes[:, None], truth[:, 1:]), 0)
    free = np.ones((len(THRESHOLDS), len(truth)), bool)
    for each in np.flatnonzero((overlap >= THRESHOLDS[0]).any(axis=1)):
        fits = free & (overlap[each] >= THRESHOLDS[:, None])  # (thresholds, boxes)
        hits[each] = fits.any(axis=1)
        taken = np.where(fits, overlap[each], -1).argmax(axis=1)
        free[hits[each], taken[hits[each]]] = False
    return hits


def precision(hits: NDArray[np.bool_], count: int) -> Floats:
    """Average precision of one class, (thresholds,).

    Args:
        hits: (detections, thresholds), the best detection first.
        count: boxes that there are to find.
    """
    found = hits.cumsum(axis=0)
    at = found / np.arange(1, len(hits) + 1)[:, None]
    at = np.maximum.accumulate(at[::-1])[::-1]  # the best precision at this recall or a higher one
    at = np.vstack([at, np.zeros((1, at.shape[1]))])  # recalls that are never reached
    reached = (np.searchsorted(row / count, RECALLS) for row in found.T)
    return np.array([column[rows].mean() for column, rows in zip(at.T, reached, strict=True)])


def overlaps(some: Floats, others: Floats) -> Floats:
    """Intersection over union of boxes (..., 4), element by element."""
    low = np.maximum(some[..., :2], others[..., :2])
    high = np.minimum(some[..., 2:], others[..., 2:])
    sides = (high - low).clip(0), some[..., 2:] - some[..., :2], others[..., 2:] - others[..., :2]
    shared, area, other = (side[..., 0] * side[..., 1] for side in sides)
    return shared / np.maximum(area + other - shared, 1e-9)

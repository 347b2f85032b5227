"""Measure whether the scores of a detector survive beside its boxes.

The model has one output, (1, rows, 4 + 1 + classes): boxes in pixels, objectness and classes. For
the float model, nearest rounding, the reconstruction and the evolved model, a table shows the mean
over unseen images of the best score (objectness times class), and the errors of boxes and scores
relative to their power. DIR holds field/captcha_det.onnx and detection/images/.

    python tools/bench_detector.py --shared DIR
    python tools/bench_detector.py --shared DIR --granularity tensor --time-budget 120 --samples 64
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from bench_optimize import machine

import onnx_evoq
from onnx_evoq import Data, Grid, Resources, Strategy
from onnx_evoq.report import table

WAYS = {"nearest": Strategy("none", init="nearest"), "start": Strategy("none"),
        "evolved": Strategy()}  # fmt: skip


def best_scores(outputs: Mapping[str, np.ndarray], labels: object) -> float:
    """The mean over images of the best product of objectness and class."""
    (rows,) = outputs.values()  # (images, rows, 4 + 1 + classes)
    return float((rows[..., 4:5] * rows[..., 5:]).max(axis=(1, 2)).mean())


best_scores.higher_is_better = True  # type: ignore[attr-defined]


def arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, required=True, help="folder of real models and data")
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--granularity", choices=["tensor", "channel"], default="channel")
    parser.add_argument("--time-budget", type=float, default=240.0, help="seconds per model")
    parser.add_argument("--samples", type=int, default=128, help="images of either kind")
    parser.add_argument("--workers", type=int, help="cores; all without it")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    given = arguments()
    model = given.shared / "field" / "captcha_det.onnx"
    folder = given.shared / "detection" / "images"
    calibration, test = (
        Data(folder / part, samples=given.samples, resize=(416, 416))
        for part in ("train2017", "val2017")
    )
    print(f"{machine()}\n{given.bits} bits, {given.granularity}, {given.time_budget:g} s")
    score = onnx_evoq.evaluate(model, test, metric=best_scores).value
    rows = [["float", f"{score:.4f}", "", "", ""]]
    for way, strategy in WAYS.items():
        result = onnx_evoq.optimize(
            model, calibration, bits=given.bits, grid=Grid(granularity=given.granularity),
            strategy=strategy, time_budget=given.time_budget, seed=given.seed,
            resources=Resources(workers=given.workers),
        )  # fmt: skip
        found = onnx_evoq.evaluate(result.model, test, metric=best_scores, reference=model)
        (output,) = found.outputs
        errors = np.array(output.errors["model"])  # (4 + 1 + classes,)
        rows.append([
            way, f"{found.value:.4f}", f"{100 * (found.value / score - 1):+.1f} %",
            f"{errors[:4].mean():.3g}", f"{errors[4:].mean():.3g}",
        ])  # fmt: skip
        print(" ".join(rows[-1]), flush=True)
    print(table(["", "best score", "change", "boxes", "scores"], rows))


if __name__ == "__main__":
    main()

"""Measure integer activations: accuracy on test data, operators left float, size and latency.

Each model is quantized to W bits of weights and A bits of activations, with steps that are powers
of two and one step per tensor, in three ways: weights rounded to the nearest (nearest), the
reconstruction (no search), and all of `optimize` within the time budget (evolved). The test data
neither select nor accept. Beside them stand the float model, and what `quantize_static` of ONNX
Runtime makes with 8 bits, a step per channel and its MinMax calibration. With A of 32,
activations stay float. A table shows

- the mean squared error of the outputs against the float model's, the kl, the share of the same
  answers, and top-1 (or the mAP of a detector) in percent,
- how many operators stay float, and the kilobytes of the file,
- the time of a run of one sample on one thread, as a share of the float model's: the median of runs
  that take turns; in ONNX Runtime (time), and in OpenVINO where it is installed (ov),
- and the seconds that it took.

DIR holds the real models and data, as bench_accuracy_cases.py says.

    python tools/bench_integer.py --shared DIR
    python tools/bench_integer.py --shared DIR --only ic_resnet8 --widths 4/8 --time-budget 60
    python tools/bench_integer.py --shared DIR --only ds_cnn --ways "no search" --scale float --json
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from bench_accuracy_cases import CASES
from bench_optimize import machine
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

import onnx_evoq
from onnx_evoq import Data, Grid, Strategy
from onnx_evoq.data import load_samples
from onnx_evoq.model import input_specs, load, operators, prepared, serialize
from onnx_evoq.report import table

Run = Callable[[], Any]
MODELS = ("resnet20", "ic_resnet8", "ds_cnn")
WIDTHS = ("8/8", "6/8", "4/8", "4/6", "4/4")
WAYS = {
    "nearest": Strategy("none", init="nearest"),
    "no search": Strategy("none"),
    "evolved": Strategy(),
}
OPENVINO = find_spec("openvino") is not None
FLOAT_BITS = 32
RUNS = 300  # of each model for its latency, in turns
LARGER = ("squeezenet1_1", "efficientnet_lite0", "nanodet_320")
COLUMNS = ("mse", "kl", "same", "score", "float ops", "kB", "time", "ov", "s")


def main() -> None:
    """Print one table per model, or its rows as JSON with --json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, required=True, help="folder of real models and data")
    parser.add_argument("--only", nargs="+", default=MODELS, choices=[*MODELS, *LARGER])
    parser.add_argument("--widths", nargs="+", default=WIDTHS, metavar="W/A")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--scale", default="pow2", choices=["pow2", "float"])
    parser.add_argument("--granularity", default="tensor", choices=["tensor", "channel"])
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--time-budget", type=float, default=90.0, help="seconds of evolved")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one object per row")
    given = parser.parse_args()
    print(machine(), file=sys.stderr if given.json else sys.stdout)
    for name in given.only:
        rows = []
        for row in rows_of(given, name):
            rows.append(row)
            print(f"{name}: {row['way']}: {row['mse']:.4g}", file=sys.stderr, flush=True)
            if given.json:
                print(json.dumps(row), flush=True)
        if not given.json:
            print(f"\n{table([name, *COLUMNS], [cells(row) for row in rows])}", flush=True)


def rows_of(given: argparse.Namespace, name: str) -> Iterator[dict[str, Any]]:
    """The rows of one model."""
    with ExitStack() as stack:
        case = CASES[name]
        data, test = case.data(given.shared, given.samples, stack)
        path = given.shared / case.model
        floats = load(path)
        began = time.monotonic()
        judge = Judge(floats, test, case.metric)
        yield judge.row("float", floats, began)
        began = time.monotonic()
        yield judge.row("quantize_static W8A8", statically_quantized(path, data), began)
        for widths in given.widths:
            weight_bits, activation_bits = (int(part) for part in widths.split("/"))
            grid = Grid(
                given.granularity, given.scale,
                activations=None if activation_bits == FLOAT_BITS else activation_bits,
                activation_scale=given.scale,
            )  # fmt: skip
            for label in given.ways:
                began = time.monotonic()
                result = onnx_evoq.optimize(
                    path, data, bits=weight_bits, grid=grid, strategy=WAYS[label], metric="mse",
                    time_budget=given.time_budget if label == "evolved" else None, seed=given.seed,
                )  # fmt: skip
                way = f"W{weight_bits}A{activation_bits} {label}"
                yield judge.row(way, result.model, began)


class Judge:
    """Scores models on test data, and times them beside the float model."""

    def __init__(self, floats: onnx.ModelProto, test: Data, metric: str) -> None:
        self._floats, self._test = floats, test
        self._metric = "top1" if metric == "agreement" else metric
        samples = load_samples(test, input_specs(floats))
        self._feed = {name: values[:1] for name, values in samples.groups[0].inputs.items()}

    def row(self, way: str, model: onnx.ModelProto, began: float) -> dict[str, Any]:
        """The row of a model that was begun at that time."""
        seconds = time.monotonic() - began
        score = onnx_evoq.evaluate(model, self._test, metric=self._metric, reference=self._floats)
        _, float_ops = operators(model)
        return {
            "way": way, "mse": score.mse, "kl": score.kl, "same": score.agreement,
            "score": score.value, "float_ops": sum(float_ops.values()),
            "bytes": len(serialize(model)), "time": self._relative_time(model, in_onnxruntime),
            "openvino": self._relative_time(model, in_openvino) if OPENVINO else None,
            "seconds": seconds,
        }  # fmt: skip

    def _relative_time(self, model: onnx.ModelProto, runtime: Callable[..., Run]) -> float:
        runs = [runtime(each, self._feed) for each in (self._floats, model)]
        seconds: list[list[float]] = [[], []]
        for _ in range(RUNS):
            for own, run in zip(seconds, runs, strict=True):
                began = time.perf_counter()
                run()
                own.append(time.perf_counter() - began)
        return float(np.median(seconds[1]) / np.median(seconds[0]))


def in_onnxruntime(model: onnx.ModelProto, feed: Mapping[str, Any]) -> Run:
    """A run with the options that users have, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(serialize(model), options)
    return lambda: session.run(None, feed)


def in_openvino(model: onnx.ModelProto, feed: Mapping[str, Any]) -> Run:
    """A run on one thread of the CPU, with floats of 32 bits."""
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(serialize(model)), "CPU",
        {"INFERENCE_NUM_THREADS": 1, "EXECUTION_MODE_HINT": "ACCURACY"},
    )  # fmt: skip
    request = compiled.create_infer_request()
    return lambda: request.infer(feed)


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """The samples one by one."""

    def __init__(self, inputs: dict[str, Any]) -> None:
        count = len(next(iter(inputs.values())))
        self._feeds = iter({n: v[k : k + 1] for n, v in inputs.items()} for k in range(count))

    def get_next(self) -> dict[str, Any] | None:
        """The next sample; None after the last one."""
        return next(self._feeds, None)


def statically_quantized(path: Path, data: Data) -> onnx.ModelProto:
    """What ONNX Runtime's own tool makes of a model."""
    model = prepared(load(path))  # below operator set 13, steps per channel would be invalid
    samples = load_samples(data, input_specs(model))
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "static.onnx"
        quantize_static(
            model, written, Reader(dict(samples.groups[0].inputs)), per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        return onnx.load(written)


def share(value: float | None, times: int) -> str:
    """A number as text; empty if there is none."""
    return "" if value is None else f"{times * value:.{4 if times == 1 else 2}f}"


def cells(row: dict[str, Any]) -> Sequence[str]:
    """The row as text."""
    return [
        row["way"], f"{row['mse']:.3g}", share(row["kl"], 1), share(row["same"], 100),
        share(row["score"], 100), str(row["float_ops"]), f"{row['bytes'] / 1000:.0f}",
        f"{row['time']:.2f}",
        "" if row["openvino"] is None else f"{row['openvino']:.2f}", f"{row['seconds']:.1f}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()

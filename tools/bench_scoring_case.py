"""What the benchmarks of scoring work on: a model on its grid, its samples, and their options."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from bench_optimize import MODELS

from onnx_evoq import Data
from onnx_evoq.array_types import Array, Arrays, Float32Array
from onnx_evoq.cli import BYTES, NUMBERS
from onnx_evoq.engine import ActivationCache, BatchTensors, specs_of
from onnx_evoq.model import (
    Cut,
    Model,
    Weight,
    cut_at,
    emit_float,
    serialize,
    suffix,
    to_model,
    with_codes,
)
from onnx_evoq.progress import silent
from onnx_evoq.quantize import QuantizedWeight, dequantize
from onnx_evoq.run import Deadline
from onnx_evoq.score import DOUBT, SESSION_OPTIONS
from onnx_evoq.search import Neuroevolution, mutate
from onnx_evoq.setup import (
    Resources,
    ScoringSet,
    Task,
    find_samples,
    model_value,
    nearest_of,
    open_float_model,
    prepare_calibration,
)

Codes = dict[str, QuantizedWeight]
Values = Mapping[str, Float32Array]  # by weight


@dataclass(frozen=True)
class Bench:
    """A model on its grid, and samples that search, accept and judge."""

    weights: Sequence[Weight]
    model: Model
    start: Codes
    search: ScoringSet
    accept: ScoringSet
    judge: ScoringSet
    given: argparse.Namespace

    def resources(self, **changes: Any) -> Resources:
        """What scoring may use."""
        return Resources(**{"memory": self.given.memory, "workers": self.given.workers, **changes})

    def search_for(self, name: str) -> Neuroevolution:
        """The search that draws the candidates."""
        codes, grid = self.start[name]
        rng, rate = np.random.default_rng(self.given.seed), self.given.mutation_rate
        return Neuroevolution(
            codes, self.given.population, lambda c: mutate(c, rate, grid.low, grid.high, rng)
        )

    def values(self, name: str) -> Callable[[Any], Any]:
        """The weight's values for codes, by its name."""
        return lambda codes: {name: dequantize(codes, self.start[name].grid)}

    def task(self, resources: Resources, progress: Any = silent) -> Task:
        """The task that a search has: to quantize the model, without a limit of time."""
        bits = dict.fromkeys(self.start, self.given.bits)
        return Task(
            self.model, self.weights, bits, "tensor", "pow2", self.search, self.accept,
            Deadline(None), None, resources, progress,
        )  # fmt: skip

    def judged(self, codes: Codes) -> float:
        """The metric of a network on samples that neither selected nor accepted."""
        return model_value(with_codes(self.model, codes), self.judge)


@dataclass(frozen=True)
class Behind:
    """The part of a model that follows a weight, to run by itself.

    Attributes:
        cut: says what the part takes.
        known: for each batch, the tensors that are known at the cut.
        model: the part, serialized.
    """

    cut: Cut
    known: Sequence[Arrays]
    model: bytes

    def feed(self, values: Values, batch: int) -> dict[str, Array]:
        """What a run takes: values of the weight, and its part of the tensors of a batch."""
        tensors = self.known[batch]
        feed: dict[str, Array] = {name: tensors[name] for name in self.cut.suffix_inputs}
        for name, dtype in self.cut.dtypes.items():
            feed[name] = values[name].astype(dtype, copy=False)
        return feed

    def session(self, threads: int | None) -> onnxruntime.InferenceSession:
        """The part in ONNX Runtime, for runs on so many cores; None for all."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        for key, value in SESSION_OPTIONS.items():
            options.add_session_config_entry(key, value)
        return onnxruntime.InferenceSession(self.model, options, ["CPUExecutionProvider"])


def behind(
    model: Model, name: str, cache: ActivationCache, scoring: ScoringSet, any_count: bool = False
) -> Behind:
    """Cut a model at a weight.

    Args:
        model: all of it.
        name: of the weight.
        cache: keeps the activations at the last cut.
        scoring: the samples.
        any_count: whether the part takes any number of samples, instead of those of a batch.
    """
    cut = cut_at(model, name)
    known = BatchTensors(scoring.batches, cache.crossing(model, cut))
    specs = specs_of(known, cut.suffix_inputs)
    if any_count:
        specs = [replace(spec, shape=(None, *(spec.shape or ())[1:])) for spec in specs]
    return Behind(cut, known, serialize(to_model(suffix(model, cut, specs))))


def spread(names: Sequence[str], count: int | None) -> list[str]:
    """So many of them, evenly spread; all for None."""
    if count is None or count >= len(names):
        return list(names)
    return [names[int((part + 0.5) * len(names) / count)] for part in range(count)]


def prepared(given: argparse.Namespace) -> Bench:
    """The model, rounded, and its samples: first those that search, then the others."""
    float_model = open_float_model(given.model, [])
    data = Data(given.data, divide=given.divide, mean=given.mean, std=given.std)
    rng = np.random.default_rng(given.seed)
    there = len(find_samples(float_model.reference, str(given.model), data, rng))
    # As many samples as search accept and judge together.
    count = min(given.samples, there // 2)
    data = Data(given.data, samples=2 * count, divide=given.divide, mean=given.mean, std=given.std)
    calibration = prepare_calibration(
        float_model.reference, str(given.model), data, "auto", 0.5, rng
    )
    widths = dict.fromkeys((weight.name for weight in float_model.weights), given.bits)
    start = nearest_of(float_model.weights, widths, "tensor", "pow2")
    accept, judge = halves(calibration.heldout_set)
    model = emit_float(float_model.model, start)
    return Bench(float_model.weights, model, start, calibration.search_set, accept, judge, given)


def halves(scoring: ScoringSet) -> tuple[ScoringSet, ScoringSet]:
    """The samples of a set, every other batch in each."""
    if len(scoring.batches) < 2:
        raise SystemExit("too few samples to accept and to judge: give 128 or more (--samples 64).")
    criterion, labels = scoring.criterion, scoring.criterion.labels
    assert criterion.reference is not None
    ends = np.cumsum([batch.count for batch in scoring.batches])
    parts = []
    for first in (0, 1):
        indices = range(first, len(scoring.batches), 2)
        chosen = None
        if labels is not None:
            rows = [labels[ends[p] - scoring.batches[p].count : ends[p]] for p in indices]
            chosen = np.concatenate(rows)
        reference = [criterion.reference[p] for p in indices]
        part = replace(criterion, reference=reference, labels=chosen)
        parts.append(ScoringSet([scoring.batches[p] for p in indices], part))
    return parts[0], parts[1]


def numbers(text: str) -> tuple[float, ...]:
    """A list of numbers, as `onnx-evoq` takes it."""
    return tuple(NUMBERS.convert(text, None, None))


def size(text: str) -> int:
    """A size, as `onnx-evoq` takes it."""
    return int(BYTES.convert(text, None, None))


def arguments(description: str | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=MODELS / "digits_resnet.onnx")
    parser.add_argument("--data", default=str(MODELS / "digits_calib.npz"))
    parser.add_argument("--divide", type=float, help="as for optimize, as are the next two")
    parser.add_argument("--mean", type=numbers)
    parser.add_argument("--std", type=numbers)
    parser.add_argument(
        "--samples", type=int, default=1024, help="images to search on; half of the data at most"
    )
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--population", type=int, default=32)
    parser.add_argument("--mutation-rate", type=float, default=0.02)
    parser.add_argument("--naive", type=int, default=3, help="naive candidates per layer")
    parser.add_argument("--race-layers", type=int, default=5, help="layers to race on")
    parser.add_argument("--generations", type=int, default=6, help="per layer of these")
    parser.add_argument("--paper-layers", type=int, default=4, help="0 for all")
    parser.add_argument("--iterations", type=int, default=64, help="per layer of these")
    parser.add_argument(
        "--full", action="store_true", help="search these layers with full scoring, too: slow"
    )
    parser.add_argument("--doubt", type=float, default=DOUBT)
    parser.add_argument("--memory", type=size, help="as for optimize")
    parser.add_argument("--little-memory", type=size, default="200MB")
    parser.add_argument("--workers", type=int, help="as for optimize")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="end with one object")
    return parser.parse_args()

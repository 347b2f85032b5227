"""Measure the ways of scoring that were tried and not taken, each against the one that was.

For a few layers, evenly spread, a table shows pairs of times in milliseconds, and a correlation:

- session, threads, process: candidates scored by one session on all cores, by two threads of one
  process, which was taken, and by two processes, each with its own session on one core. The
  processes inherit the activations at the cut, and starting them is not counted.
- arrays, bound: runs that take arrays, which was taken, and runs with inputs and outputs bound to
  buffers once.
- apart, stacked: eight runs, which was taken, and eight times the samples in one run. That is what
  scoring eight candidates in one call could gain at most.
- local: how well the error of the layer's own output predicts the error of the network's output, as
  the correlation over a generation. The former is a quadratic form in the weight that costs no run
  of the network. It is there for convolutions on images without groups only.

The model and its options are those of bench_scoring.py. Of these options, those that name model,
data, samples, bits and seed count.

    python tools/bench_choices.py
    python tools/bench_choices.py --model resnet20.onnx --data calib.npz --divide 255 \\
        --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --samples 512 --bits 3 --seed 1
"""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx
import onnxruntime
from bench_optimize import machine
from bench_scoring_case import Behind, Bench, arguments, behind, prepared, spread
from numpy.typing import NDArray

from onnx_evoq.engine import ActivationCache, Evaluators
from onnx_evoq.model import serialize
from onnx_evoq.report import table
from onnx_evoq.score import Evaluator

Floats = NDArray[np.float32]
Values = dict[str, Floats]
Maps = NDArray[np.float32]  # (samples, channels, height, width)

LAYERS, CANDIDATES, STACKED, TIMES = 3, 8, 8, 3


def seconds(work: Callable[[], Any]) -> float:
    """The fastest of a few times."""
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def generation(bench: Bench, name: str, evaluator: Evaluator) -> list[Values]:
    """The values of the first children of a weight, by its name."""
    search, values_of = bench.search_for(name), bench.values(name)
    start = search.ask()
    search.tell(start, np.array([evaluator.value(values_of(start[0]))]))
    return [values_of(codes) for codes in search.ask()]


def cut_behind(bench: Bench, name: str, any_count: bool = False) -> Behind:
    """The part of the model behind a weight, by its name; `any_count` is as for `behind`."""
    cache = ActivationCache(bench.search.batches, bench.resources())
    return behind(bench.model, name, cache, bench.search, any_count)


def side_by_side(bench: Bench, name: str) -> tuple[float, float, float]:
    """Milliseconds per candidate: one session on all cores, two threads, two processes."""
    (evaluator,) = Evaluators([bench.search], bench.resources()).at(bench.model, name)
    values = generation(bench, name, evaluator)[:CANDIDATES]
    part = cut_behind(bench, name)
    whole, single = part.session(None), part.session(1)

    def by_session(session: Any, some: list[Values]) -> None:
        for each in some:
            for batch in range(len(part.known)):
                session.run(None, part.feed(each, batch))

    def one() -> None:
        by_session(whole, values)

    pool = ThreadPoolExecutor(2)

    def threads() -> None:
        list(pool.map(lambda some: by_session(single, some), (values[::2], values[1::2])))

    def work(some: list[Values], start: Any, done: Any) -> None:
        session = part.session(1)
        by_session(session, some[:1])
        for _ in range(TIMES):
            start.wait()
            by_session(session, some)
            done.wait()

    context = multiprocessing.get_context("fork")
    start, done = context.Barrier(3, timeout=300), context.Barrier(3, timeout=300)
    children = [
        context.Process(target=work, args=(values[first::2], start, done)) for first in (0, 1)
    ]
    for child in children:
        child.start()

    def processes() -> None:
        start.wait()
        done.wait()

    together = seconds(processes)
    for child in children:
        child.join()
    by_session(whole, values[:1])
    by_session(single, values[:1])
    each = 1000 / len(values)
    return each * seconds(one), each * seconds(threads), each * together


def binding(bench: Bench, name: str) -> tuple[float, float]:
    """Milliseconds per run: taking arrays, and bound to buffers."""
    part = cut_behind(bench, name)
    session = part.session(1)
    values = bench.values(name)(bench.start[name].codes)
    feed = part.feed(values, 0)
    bound = session.io_binding()
    buffer = onnxruntime.OrtValue.ortvalue_from_numpy(values[name])
    for key, value in feed.items():
        held = onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value))
        bound.bind_ortvalue_input(key, buffer if key == name else held)
    for output, value in zip(session.get_outputs(), session.run(None, feed), strict=True):
        bound.bind_ortvalue_output(
            output.name, onnxruntime.OrtValue.ortvalue_from_numpy(np.empty_like(value))
        )

    def with_buffers() -> None:
        for _ in range(20):
            buffer.update_inplace(values[name])  # as for a new candidate
            session.run_with_iobinding(bound)

    def with_arrays() -> None:
        for _ in range(20):
            session.run(None, feed)

    with_arrays(), with_buffers()
    return 50 * seconds(with_arrays), 50 * seconds(with_buffers)


def stacking(bench: Bench, name: str) -> tuple[float, float]:
    """Milliseconds for eight times the samples of a batch: in eight runs, and in one."""
    part = cut_behind(bench, name, any_count=True)
    session = part.session(1)
    values = bench.values(name)(bench.start[name].codes)
    one = part.feed(values, 0)
    many = {
        key: value if key == name else np.concatenate([value] * STACKED)
        for key, value in one.items()
    }

    def apart() -> None:
        for _ in range(STACKED):
            session.run(None, one)

    apart(), session.run(None, many)
    return 1000 * seconds(apart), 1000 * seconds(lambda: session.run(None, many))


def columns(x: Maps, conv: dict[str, Any]) -> Floats:
    """What a convolution multiplies its weight with, (samples * positions, inputs)."""
    top, left, bottom, right = conv.get("pads", [0, 0, 0, 0])
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, conv["kernel_shape"], (2, 3))
    down, across = conv.get("strides", [1, 1])
    windows = windows[:, :, ::down, ::across].transpose(0, 2, 3, 1, 4, 5)
    return windows.reshape(-1, int(np.prod(windows.shape[3:])))


def local_filter(bench: Bench, name: str) -> float | None:
    """The correlation of local cost and network error over the first generation."""
    node = next(node for node in bench.model.graph.node if name in node.input)
    conv = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    plain = conv.get("group", 1) == 1 and set(conv.get("dilations", [1])) == {1}
    if node.op_type != "Conv" or not plain or "auto_pad" in conv or "pads" not in conv:
        return None
    (evaluator,) = Evaluators([bench.search], bench.resources()).at(bench.model, name)
    values = generation(bench, name, evaluator)
    losses = evaluator.losses(values, lambda each: each, 0, len(evaluator.counts))
    probe = onnx.ModelProto.FromString(serialize(bench.model))
    del probe.graph.output[:]
    probe.graph.output.append(onnx.helper.make_empty_tensor_value_info(node.input[0]))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(serialize(probe), options)
    moments = 0.0
    for batch in bench.search.batches:
        x = columns(session.run(None, batch.feed)[0], conv)
        moments = moments + x.T @ x  # (inputs, inputs)
    target = next(w for w in bench.weights if w.name == name).values
    errors = [
        (each[name] - target).reshape(len(target), -1) for each in values
    ]  # (outputs, inputs)
    costs = [float(np.sum((error @ moments) * error)) for error in errors]
    means = [float(np.mean(each)) for each in losses if each is not None]
    return float(np.corrcoef(costs, means)[0, 1])


def main() -> None:
    """Print the table."""
    given = arguments(__doc__)
    bench = prepared(given)
    print(machine())
    print(f"{given.model.name}, {bench.search.samples} images; milliseconds, and a correlation")
    rows = []
    for name in spread(list(bench.start), LAYERS):
        correlation = local_filter(bench, name)
        times = (*side_by_side(bench, name), *binding(bench, name), *stacking(bench, name))
        rows.append(
            [name[-12:], *(f"{t:.2f}" for t in times),
             "" if correlation is None else f"{correlation:.2f}"]
        )  # fmt: skip
    ways = ["session", "threads", "process", "arrays", "bound", "apart", "stacked"]
    print(table(["layer", *ways, "local"], rows))


if __name__ == "__main__":
    main()

"""Measure what workers of a cluster give on this machine, and project it to more of them.

1. Scores: a generation of candidates for the middle layer of a convolutional network, as evolution
   scores it. The scores of all runs must be those of this process, to the bit.
2. Rows: the codes of a wide layer in parts of 128 rows, which one worker alone is not given.
3. Reconstruction: all layers of that network, with samples that stay with the workers.
4. Tasks that do nothing, which show what one costs the process that sends it.
5. A simulation with these costs, of one process that serves 8, 64 and 512 workers, on layers of the
   shapes of a ResNet-50 and of a BERT-base.

    python tools/bench_scale.py [--workers 1,2,4] [--candidates 64]
"""

import argparse
import heapq
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from onnx_evoq.batch import make_batches
from onnx_evoq.engine import Evaluators
from onnx_evoq.executors import HERE, Memory, connected
from onnx_evoq.executors import Task as WorkersTask
from onnx_evoq.metrics import Criterion, find_metric
from onnx_evoq.model import find_weights, input_specs, load
from onnx_evoq.parallel import one_blas_thread
from onnx_evoq.quantize import RowGrid, codes_of_rows, factored
from onnx_evoq.reconstruct import reconstruct_layers
from onnx_evoq.run import Deadline
from onnx_evoq.setup import Resources, ScoringSet, Task, run_model

CHANNELS, SIDE, LAYERS, SAMPLES, BATCH = 64, 16, 6, 128, 16
ROWS, COLUMNS = 2048, 4096
EMPTY = 200  # tasks that do nothing
TASK = 0.25  # seconds that a task takes
BANDWIDTH = 1e9  # bytes per second of the process that sends, as supposed
GENERATION, CALIBRATION = 64, 512  # candidates and samples of the simulation


@dataclass(frozen=True)
class Shape:
    """A network as the simulation sees it.

    Attributes:
        name: of the network.
        products: of one sample.
        bytes: of its values and of one sample.
        rows: of its widest layer, by 128.
    """

    name: str
    products: float
    bytes: tuple[float, float]
    rows: int


SHAPES = (
    Shape("ResNet-50", 4.1e9, (102e6, 602e3), 2048 // 128),
    Shape("BERT-base, 128 tokens", 11.2e9, (343e6, 3e3), 3072 // 128),
)


@dataclass
class Costs:
    """What was measured: seconds for each task of the sender, products per second of a worker."""

    per_task: float = 0.0
    products: float = 0.0
    bytes: float = 0.0


def network() -> Any:
    """A convolutional network of layers that are alike."""
    rng, nodes, values, last = np.random.default_rng(0), [], [], "x"
    for index in range(LAYERS):
        inputs = 3 if index == 0 else CHANNELS
        weight = rng.standard_normal((CHANNELS, inputs, 3, 3)) / math.sqrt(9 * inputs)
        values.append(numpy_helper.from_array(weight.astype(np.float32), f"w{index}"))
        nodes.append(helper.make_node("Conv", [last, f"w{index}"], [f"c{index}"], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{index}"], [f"r{index}"]))
        last = f"r{index}"
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["y"]))
    shape = ["n", 3, SIDE, SIDE]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    found = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", CHANNELS, 1, 1])
    graph = helper.make_graph(nodes, "g", [given], [found], values)
    return load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9))


def nothing(memory: Memory, index: int) -> int:
    """A task that does nothing."""
    return index


def scored(
    model: Any, scoring: ScoringSet, candidates: Sequence[Any], cluster: str | None
) -> tuple[float, bytes]:
    """The seconds that the second of two equal generations takes, and its scores."""
    weight = f"w{LAYERS // 2}"
    resources = Resources(workers=1, cluster=cluster)
    (evaluator,) = Evaluators([scoring], resources).at(model, weight)
    for _ in range(2):
        began = time.perf_counter()
        found = evaluator.losses(
            candidates, lambda values: {weight: values}, 0, len(scoring.batches)
        )
        seconds = time.perf_counter() - began
    return seconds, np.array(found).tobytes()


def reconstructed(
    model: Any, sets: Sequence[ScoringSet], cluster: str | None
) -> tuple[float, bytes]:
    """The seconds that a reconstruction of all layers takes, and its codes."""
    weights = find_weights(model)[0]
    task = Task(
        model, weights, {weight.name: 4 for weight in weights}, "tensor", "pow2", *sets,
        Deadline(None), resources=Resources(workers=1, cluster=cluster),
    )  # fmt: skip
    began = time.perf_counter()
    found = reconstruct_layers(task, np.random.default_rng(3), details=False)
    seconds = time.perf_counter() - began
    return seconds, b"".join(each.codes.tobytes() for each in found.quantized.values())


def rows_problem() -> tuple[Any, Any, RowGrid]:
    """W*, H and the grid of a wide layer."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2 * COLUMNS, COLUMNS))
    hessian = factored((x.T @ x / len(x))[None], 0.01)
    weight = rng.standard_normal((1, ROWS, COLUMNS))
    return weight, hessian, RowGrid(np.full((1, ROWS, 1), 0.4), -8, 7)


def simulated(shape: Shape, workers: int, costs: Costs) -> tuple[float, float, str]:
    """Speed-up of a generation, seconds until all workers have the model, and what limits."""
    work = GENERATION * CALIBRATION * shape.products / 2 / costs.products
    size = min(TASK, max(0.02, work / workers))
    tasks = max(1, round(work / size))
    sent = costs.bytes / BANDWIDTH + costs.per_task
    free, now, end = [0.0] * min(workers, tasks), 0.0, 0.0
    for _ in range(tasks):  # the sender serves one task after the other
        now += sent
        start = max(now, heapq.heappop(free))
        end = max(end, start + size)
        heapq.heappush(free, start + size)
    model, sample = shape.bytes
    # Workers hand the model on to each other; the sender sends each sample once.
    begin = (math.log2(workers) * model + CALIBRATION * sample) / BANDWIDTH
    limit = "tasks that the process sends" if sent * tasks > 0.7 * end else "the workers"
    if tasks <= workers:
        limit = "the number of tasks"
    return work / end, begin, limit


@one_blas_thread
def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", default="1,2,4", help="numbers of worker processes")
    parser.add_argument("--candidates", type=int, default=64, help="of a generation")
    given = parser.parse_args()
    model, rng = network(), np.random.default_rng(2)
    images = rng.standard_normal((SAMPLES, 3, SIDE, SIDE)).astype(np.float32)
    batches = make_batches({"x": images}, input_specs(model), BATCH)
    reference = list(run_model(model, batches, Resources(workers=1)))
    scoring = ScoringSet(batches, Criterion(find_metric("mse"), reference, None))
    base = numpy_helper.to_array(model.graph.initializer[LAYERS // 2])
    candidates = []
    for _ in range(given.candidates):
        changed = base.copy()
        changed.flat[rng.choice(base.size, 64, replace=False)] *= np.float32(1.1)
        candidates.append(changed)
    alone, expected = scored(model, scoring, candidates, None)
    few = len(batches) // 4  # of the batches choose dampings
    layers = [
        ScoringSet(batches[some], Criterion(find_metric("mse"), reference[some], None))
        for some in (slice(few, None), slice(few))
    ]
    layers_alone, layers_expected = reconstructed(model, layers, None)
    of_layers = [
        f"One core in this process reconstructs {LAYERS} layers in {layers_alone:.1f} s.\n",
        "| workers | s | MB sent to workers, a layer | MB of answers, a layer | tasks, a layer |",
        "|---|---|---|---|---|",
    ]
    problem = rows_problem()
    options: dict[str, Any] = {"descends": True, "restarts": 0, "rng": None}
    began = time.perf_counter()
    codes = codes_of_rows(*problem, HERE, **options)
    rows_alone, costs = time.perf_counter() - began, Costs()
    print(f"{os.cpu_count()} cores. One core in this process: {len(candidates) / alone:.1f}")
    print(f"candidates/s, and {rows_alone:.1f} s for {ROWS} rows of {COLUMNS} columns.\n")
    print(
        "| workers | candidates/s | bytes per candidate | rows, s | bytes of the layer | ms/task |"
    )
    print("|---|---|---|---|---|---|")
    for count in map(int, given.workers.split(",")):
        address = f"local:{count}"
        with connected(address, 1) as cluster:
            assert cluster is not None
            seconds, found = scored(model, scoring, candidates, address)
            assert found == expected, "other scores than in this process"
            traffic = cluster.traffic
            each = (traffic.tasks + traffic.answers) / (2 * len(candidates))
            per_task = (traffic.tasks + traffic.answers) / traffic.done
            before = traffic.values
            began = time.perf_counter()
            there = codes_of_rows(*problem, cluster, **options)
            rows = time.perf_counter() - began
            assert (there == codes).all(), "other codes than in this process"
            layer = traffic.values - before
            start = traffic.values, traffic.tasks, traffic.answers, traffic.done
            took, found_layers = reconstructed(model, layers, address)
            assert found_layers == layers_expected, "other layers than in this process"
            end = traffic.values, traffic.tasks, traffic.answers, traffic.done
            values, asked, answers, done = (
                (b - a) / LAYERS for a, b in zip(start, end, strict=True)
            )
            of_layers.append(
                f"| {count} | {took:.1f} | {(values + asked) / 1e6:.1f} | {answers / 1e6:.1f} | "
                f"{done:.0f} |"
            )
            began = time.perf_counter()
            list(cluster.map(nothing, (WorkersTask(index) for index in range(EMPTY))))
            empty = (time.perf_counter() - began) / EMPTY
        print(
            f"| {count} | {len(candidates) / seconds:.1f} | {each:,.0f} | {rows:.1f} | "
            f"{layer / 1e6:.0f} MB | {1000 * empty:.1f} |"
        )
        costs.per_task, costs.bytes = empty, per_task
    print("", *of_layers, sep="\n")
    products = CHANNELS**2 * 9 * SIDE**2 * (LAYERS - LAYERS // 2)
    costs.products = products * SAMPLES * len(candidates) / alone
    print(f"\nA simulation: {GENERATION} candidates, {CALIBRATION} samples, half of the network,")
    print(f"{costs.products / 1e9:.0f}e9 products/s of a worker, {BANDWIDTH / 1e9:.0f} GB/s.\n")
    print(
        "| network | workers | speed-up | limited by | s until all have the model | rows at once |"
    )
    print("|---|---|---|---|---|---|")
    for shape in SHAPES:
        for workers in (8, 64, 512):
            gain, begin, limit = simulated(shape, workers, costs)
            print(
                f"| {shape.name} | {workers} | {gain:.0f} | {limit} | {begin:.1f} | {shape.rows} |"
            )


if __name__ == "__main__":
    main()

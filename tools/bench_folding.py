"""Measure models whose layers read their weights through nodes that compute them from constants.

A CIFAR-10 ResNet-20 is rewritten so that each of its weights is behind such nodes, as exporters
leave them, and each form is quantized. For each, a table shows how many of its weights have a
closed form, and its top-1 on test images, in percent: of the float model, and of the quantized one.
All rows should be alike. The row "codes" is of 8 bits already, and quantized anew.

    python tools/bench_folding.py --shared DIR
    python tools/bench_folding.py --shared DIR --only direct cast --bits 3 --samples 512 --json
"""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from bench_accuracy_cases import CASES
from bench_optimize import machine
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

import onnx_evoq
from onnx_evoq import Data
from onnx_evoq.model import find_layers, find_weights, fold_constants, load
from onnx_evoq.report import table

Array = NDArray[Any]
Behind = tuple[list[NodeProto], dict[str, Array]]  # nodes that compute a weight, and what they read
node = helper.make_node


def identity(name: str, weight: Array) -> Behind:
    """A copy."""
    return [node("Identity", [f"{name}_held"], [name])], {f"{name}_held": weight}


def cast(name: str, weight: Array) -> Behind:
    """Half precision."""
    half = {f"{name}_half": weight.astype(np.float16)}
    return [node("Cast", list(half), [name], to=onnx.TensorProto.FLOAT)], half


def transpose(name: str, weight: Array) -> Behind:
    """Axes in reverse order."""
    held = {f"{name}_turned": np.ascontiguousarray(weight.T)}
    return [node("Transpose", list(held), [name])], held


def weight_norm(name: str, weight: Array) -> Behind:
    """A direction and its length, for each output channel."""
    rows = weight.reshape(len(weight), -1)
    length = np.linalg.norm(rows, axis=1).reshape(-1, *[1] * (weight.ndim - 1))
    held = {f"{name}_v": 3 * weight, f"{name}_g": length.astype(np.float32)}
    axes = list(range(1, weight.ndim))
    return [
        node("ReduceL2", [f"{name}_v"], [f"{name}_norm"], axes=axes, keepdims=1),
        node("Div", [f"{name}_v", f"{name}_norm"], [f"{name}_direction"]),
        node("Mul", [f"{name}_direction", f"{name}_g"], [name]),
    ], held


def slices(name: str, weight: Array) -> Behind:
    """Two halves in the wrong order."""
    half = len(weight) // 2
    held = {
        f"{name}_held": np.concatenate([weight[half:], weight[:half]]),
        **{
            f"{name}_at{i}": np.array([at]) for i, at in enumerate((0, len(weight) - half, 1 << 20))
        },
    }
    ends = [(f"{name}_at{i}", f"{name}_at{i + 1}") for i in range(2)]
    parts = [
        node("Slice", [f"{name}_held", *end], [f"{name}_part{i}"]) for i, end in enumerate(ends)
    ]
    join = node("Concat", [f"{name}_part1", f"{name}_part0"], [name], axis=0)
    return [*parts, join], held


def reshape(name: str, weight: Array) -> Behind:
    """One axis."""
    held = {f"{name}_flat": weight.reshape(-1), f"{name}_shape": np.array(weight.shape)}
    return [node("Reshape", list(held), [name])], held


def codes(name: str, weight: Array) -> Behind:
    """Codes of 8 bits, with a scale for each output channel."""
    scale = np.abs(weight.reshape(len(weight), -1)).max(axis=1) / 127  # (channels,)
    units = weight / scale.reshape(-1, *[1] * (weight.ndim - 1))
    held = {f"{name}_codes": np.rint(units).astype(np.int8), f"{name}_scale": scale}
    return [node("DequantizeLinear", list(held), [name], axis=0)], held


KINDS: dict[str, Callable[[str, Array], Behind] | None] = {
    "direct": None, "identity": identity, "cast": cast, "transpose": transpose,
    "weight_norm": weight_norm, "slices": slices, "reshape": reshape, "codes": codes,
}  # fmt: skip


def rewritten(file: Path, behind: Callable[[str, Array], Behind] | None) -> ModelProto:
    """The model with each weight behind nodes; biases and other constants stay."""
    model = onnx.load(file)
    if behind is None:
        return model
    graph = model.graph
    nodes = list[NodeProto]()
    for tensor in [each for each in graph.initializer if len(each.dims) > 1]:
        own, held = behind(tensor.name, numpy_helper.to_array(tensor))
        nodes += own
        graph.initializer.remove(tensor)
        graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in held.items())
    nodes += list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def main() -> None:
    """Measure one form of the model after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, required=True, help="folder of models and data")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--bits", type=int, default=4, help="of all weights")
    parser.add_argument("--samples", type=int, default=192, help="images to calibrate on")
    parser.add_argument("--test", type=int, default=2000, help="images that judge")
    parser.add_argument("--json", action="store_true", help="one object per row")
    given = parser.parse_args()
    print(machine(), file=sys.stderr if given.json else sys.stdout, flush=True)
    with ExitStack() as stack:
        data, test = CASES["resnet20"].data(given.shared, given.samples, stack)
        file = given.shared / CASES["resnet20"].model
        rows = [
            measured(given, kind, file, data, replace(test, samples=given.test))
            for kind in given.only
        ]
    if given.json:
        print("\n".join(json.dumps(row) for row in rows))
        return
    columns = ["kind", "weights", "closed", "float", "quantized"]
    print(table(columns, [[str(row[name]) for name in columns] for row in rows]))


def measured(
    given: argparse.Namespace, kind: str, file: Path, data: Data, test: Data
) -> dict[str, Any]:
    """The row of one form."""
    model, anew = rewritten(file, KINDS[kind]), kind == "codes"
    folded = fold_constants(load(model), requantize=anew).model
    weights, _ = find_weights(folded)
    result = onnx_evoq.optimize(
        model, data, bits=given.bits, strategy="none", time_budget=None, requantize=anew
    )
    before, after = (
        round(100 * onnx_evoq.evaluate(each, test, metric="top1").value, 2)
        for each in (model, result.model)
    )
    closed = len(find_layers(folded, weights))
    return {
        "kind": kind, "weights": len(weights), "closed": closed, "float": before,
        "quantized": after,
    }  # fmt: skip


if __name__ == "__main__":
    main()

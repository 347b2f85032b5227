"""Networks with random weights, written as ONNX files layer by layer.

Weights are drawn so that a layer keeps the variance of its inputs behind the activation that
follows (He et al., https://arxiv.org/abs/1502.01852). Each filter has a mean of 0: inputs behind an
activation are positive, and without it their common mean would drown what differs between samples.
BatchNormalization counts as folded, so convolutions have a bias.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 17, 8
BIAS = 0.05  # standard deviation of biases; activations have one of about 1

# A layer's weights have this variance times their number of columns: 1 over the mean square that
# the activation behind it leaves of a standard normal.
LINEAR, RELU, SILU = 1.0, 2.0, 2.81


class Network:
    """A graph that grows: methods add nodes, and return the name of what comes out."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def node(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; the name of its output, or a list of names if there are several."""
        name = f"{op}_{len(self.nodes)}"
        names = [name] if outputs == 1 else [f"{name}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name, **attributes))
        return name if outputs == 1 else names

    def tensor(self, values: Any, kind: Any = np.float32) -> str:
        """Add a constant."""
        name = f"tensor_{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def normal(self, *shape: int, spread: float = BIAS) -> str:
        """Add a constant of random numbers with mean 0."""
        return self.tensor(self.rng.standard_normal(shape, np.float32) * np.float32(spread))

    def weight(self, rows: int, columns: Sequence[int], variance: float) -> np.ndarray:
        """Random rows of mean 0: (rows, *columns)."""
        values = self.rng.standard_normal((rows, *columns), np.float32)
        axes = tuple(range(1, values.ndim))
        if values[0].size > 1:
            values -= values.mean(axes, keepdims=True)
        values *= np.float32((variance / values[0].size) ** 0.5)
        return values

    def conv(
        self,
        x: str,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        variance: float = RELU,
    ) -> str:
        """A convolution with bias that keeps the size at stride 1."""
        weight = self.weight(outputs, (inputs, kernel, kernel), variance)
        attributes = {"kernel_shape": [kernel] * 2, "pads": [kernel // 2] * 4}
        name: str = self.node(
            "Conv", x, self.tensor(weight), self.normal(outputs), strides=[stride] * 2, **attributes
        )
        return name

    def gemm(self, x: str, inputs: int, outputs: int, variance: float = LINEAR) -> str:
        """A fully connected layer of 2-D inputs."""
        weight = self.weight(outputs, (inputs,), variance)
        name: str = self.node("Gemm", x, self.tensor(weight), self.normal(outputs), transB=1)
        return name

    def dense(self, x: str, inputs: int, outputs: int, variance: float = LINEAR) -> str:
        """A fully connected layer of inputs of any rank: MatMul, and Add of the bias."""
        weight = np.ascontiguousarray(self.weight(outputs, (inputs,), variance).T)
        product = self.node("MatMul", x, self.tensor(weight))
        name: str = self.node("Add", product, self.normal(outputs))
        return name

    def save(
        self, file: Path, x: tuple[str, int, Sequence[Any]], y: tuple[str, Sequence[Any]]
    ) -> None:
        """Write the file; x has the name, the type and the shape of the input, y those of y."""
        graph = helper.make_graph(
            [*self.nodes, helper.make_node("Identity", [y[0]], ["y"], "last")],
            file.stem,
            [helper.make_tensor_value_info(*x)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, y[1])],
            self.tensors,
        )
        opset = helper.make_opsetid("", OPSET)
        onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION), file)


def check(file: Path, feeds: Mapping[str, np.ndarray]) -> None:
    """Stop if a model's outputs are not finite, or hardly depend on the sample.

    Raises:
        ValueError: random weights have made a model that says nothing.
    """
    session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    output = session.run(None, dict(feeds))[0]
    if not np.isfinite(output).all():
        raise ValueError(f"{file}: the outputs are not finite.")
    differs, power = float(output.std(0).mean()), float(np.sqrt(np.mean(output**2)))
    if not 1e-3 < power < 1e4 or differs < 1e-3 * power:
        raise ValueError(f"{file}: outputs of {power:.3g} that differ by {differs:.3g} only.")


def count_weights(file: Path) -> int:
    """Count the float values in initializers and constants of two or more dimensions."""
    graph = onnx.load(file).graph
    constants = [
        attribute.t
        for node in graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    ]
    return sum(
        int(np.prod(tensor.dims))
        for tensor in (*graph.initializer, *constants)
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1
    )

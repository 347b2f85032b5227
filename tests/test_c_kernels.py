"""The functions of docs/c-header.md compute from a header what ONNX Runtime does, to the bit."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from documents import blocks
from graphs import conv_net, flat, model_of, node, random
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import onnx_evoq
from onnx_evoq.model import load, quantized_activations
from onnx_evoq.model.c_header.coded_layers import CodedLayer, coded_layer
from onnx_evoq.model.c_header.qdq_graph import QdqGraph
from onnx_evoq.model.integer import PRODUCTS

PROJECT = Path(__file__).parent.parent
(KERNELS,) = [
    block.text
    for block in blocks((PROJECT / "docs" / "c-header.md").read_text(encoding="utf-8"))
    if block.language == "c"
]
MAIN = (PROJECT / "tests" / "c_kernels.c").read_text(encoding="utf-8")
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-ffp-contract=off"]

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")


@dataclass
class Program:
    """The functions of the document with the header of a model, as a program."""

    path: Path
    layers: list[CodedLayer]

    def outputs(self, layer: int, codes: NDArray[np.generic]) -> NDArray[np.int32]:
        """The output codes of one layer for one sample, or its sums."""
        done = subprocess.run(
            [self.path, str(layer)], input=codes.tobytes(), capture_output=True, check=True
        )
        return np.frombuffer(done.stdout, np.int32)


Compile = Callable[..., Program]


@pytest.fixture
def program(tmp_path: Path) -> Compile:
    """Compile the header of a model, whose input has codes of that type of C."""

    def compiled(model: ModelProto, code: str = "uint8_t") -> Program:
        (tmp_path / "layers.h").write_text(onnx_evoq.c_header(model))
        kernels = KERNELS.replace("typedef uint8_t code;", f"typedef {code} code;")
        source, to = tmp_path / "main.c", tmp_path / "main"
        source.write_text(f'#include "layers.h"\n{kernels}\n{MAIN}')
        command = ["gcc", *STRICT, str(source), "-o", str(to), "-lm"]
        subprocess.run(command, check=True, timeout=60)
        graph = QdqGraph(load(model, quantized=True))
        found = [coded_layer(each, graph) for each in graph.nodes if each.op_type in PRODUCTS]
        return Program(to, [layer for layer in found if isinstance(layer, CodedLayer)])

    return compiled


def with_codes_as_outputs(model: ModelProto) -> tuple[ModelProto, dict[str, str]]:
    """A model that gives the codes of all activations, too, and their names by activation."""
    shown = ModelProto()
    shown.CopyFrom(model)
    codes = {each.output[0]: each.input[0] for each in model.graph.node if each.input}
    found = {each.name: codes[each.dequantized] for each in quantized_activations(model)}
    kind = next(t.data_type for t in model.graph.initializer if t.name.endswith("_zero_point"))
    shown.graph.output.extend(
        helper.make_tensor_value_info(name, kind, None) for name in dict.fromkeys(found.values())
    )
    return shown, found


ROUNDING = onnx_evoq.Strategy("none", init="nearest")


def emitted(
    model: Path | ModelProto,
    data: Path | None = None,
    target: Any = None,
    strategy: Any = "none",
    **grid: object,
) -> ModelProto:
    """A model with weights of 4 bits and integer activations."""
    options = onnx_evoq.Grid(**{"activations": 8, **grid})  # type: ignore[arg-type]
    source = onnx_evoq.Data(data, samples=32)
    return onnx_evoq.optimize(
        model, source, bits=4, grid=options, strategy=strategy, target=target
    ).model


def check_layers(
    model: ModelProto, program: Program, samples: NDArray[np.floating], folder: Path
) -> list[str]:
    """Compare each layer with the runtime's; the operators that the runtime made of the model."""
    shown, codes = with_codes_as_outputs(model)
    floats = {layer.output for layer in program.layers} - codes.keys()
    shown.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in sorted(floats - {value.name for value in shown.graph.output})
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    session = onnxruntime.InferenceSession(shown.SerializeToString(), options)
    graph, names = QdqGraph(model), [value.name for value in shown.graph.output]
    for sample in range(len(samples)):
        feed = {session.get_inputs()[0].name: samples[[sample]]}
        found = dict(zip(names, session.run(names, feed), strict=True))
        for index, layer in enumerate(program.layers):
            if layer.op_type == "ConvTranspose":
                continue
            ours = program.outputs(index, found[codes[layer.input]])
            if layer.output in codes:
                theirs = found[codes[layer.output]]
                np.testing.assert_array_equal(ours, theirs.reshape(-1), layer.name)
            else:
                units = np.float32(graph.formats[layer.input].scale) * layer.steps
                theirs = found[layer.output].reshape(-1)
                np.testing.assert_array_equal(ours.astype(np.float32) * units, theirs)
    optimized = load(folder / "optimized.onnx", quantized=True)
    return [each.op_type for each in optimized.graph.node]


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("digits_vgg", {}),
        ("digits_depthwise", {"granularity": "channel", "activations": 6}),
        (
            "digits_resnet",
            {"granularity": "channel", "scale": "float", "activation_scale": "float"},
        ),
    ],
)
def test_each_layer_gives_what_integer_kernels_do(
    name: str, grid: dict[str, object], program: Compile, tmp_path: Path
) -> None:
    data = PROJECT / "models" / "digits_calib.npz"
    model = emitted(PROJECT / "models" / f"{name}.onnx", data, strategy=ROUNDING, **grid)
    compiled = program(model)
    samples = np.load(PROJECT / "models" / "digits_test.npz")["x"][:2].astype(np.float32)
    operators = check_layers(model, compiled, samples, tmp_path)
    integer = operators.count("QLinearConv") + operators.count("QGemm")
    assert integer == len(compiled.layers) > 4


@pytest.mark.parametrize(
    ("target", "grid"),
    [
        ("esp-dl", {"granularity": "channel"}),
        ("tensorrt", {"granularity": "channel"}),
        ("vitis", {}),
    ],
)
def test_targets_that_keep_the_relu_or_float_biases_have_the_same_codes(
    target: str, grid: dict[str, object], program: Compile, tmp_path: Path
) -> None:
    data = PROJECT / "models" / "digits_calib.npz"
    model = emitted(PROJECT / "models" / "digits_vgg.onnx", data, target, **grid)
    compiled = program(model, "int8_t")
    samples = np.load(PROJECT / "models" / "digits_test.npz")["x"][:2].astype(np.float32)
    check_layers(model, compiled, samples, tmp_path)
    *hidden, last = compiled.layers
    formats = QdqGraph(model).formats
    assert [formats[layer.output].lowest for layer in hidden] == [0] * 5  # of a Relu
    assert last.output not in formats
    if target != "vitis":  # whose biases have steps of their own
        assert all(layer.bias is not None and layer.bias.any() for layer in compiled.layers)


def test_float_biases_are_whole_where_scales_are_floats_too() -> None:
    grid = {"granularity": "channel", "scale": "float", "activation_scale": "float"}
    graph = QdqGraph(emitted(conv_net(), None, "tensorrt", **grid))
    layers = [coded_layer(each, graph) for each in graph.nodes if each.op_type in PRODUCTS]
    assert len(layers) == 3
    for layer in layers:
        assert isinstance(layer, CodedLayer)
        assert layer.bias is not None
        assert layer.bias.any()


def test_matrices_whose_outputs_lie_along_their_last_axis(program: Compile, tmp_path: Path) -> None:
    model = emitted(flat())
    compiled = program(model)
    check_layers(model, compiled, random(3, 3, 2, 2).astype(np.float32), tmp_path)
    kinds = [(layer.op_type, layer.transposed) for layer in compiled.layers]
    assert kinds == [("ConvTranspose", False), ("Gemm", False), ("MatMul", False)]


def one_conv(output_scale: float, dtype: type) -> ModelProto:
    """x (1, 1, 16, 16) in steps of 1 -> Conv of 3 channels in steps of .5, .5 and 1 -> y."""
    nodes = [
        node("QuantizeLinear", ["x", "one", "x_zero_point"], ["x_codes"]),
        node("DequantizeLinear", ["x_codes", "one", "x_zero_point"], ["x_again"]),
        node("DequantizeLinear", ["w_codes", "steps", "w_zero_points"], ["w"], axis=0),
        node("DequantizeLinear", ["b_codes", "steps", "b_zero_points"], ["b"], axis=0),
        node("Conv", ["x_again", "w", "b"], ["a"], "only"),
        node("QuantizeLinear", ["a", "scale", "x_zero_point"], ["y_codes"]),
        node("DequantizeLinear", ["y_codes", "scale", "x_zero_point"], ["y"]),
    ]
    weights = {
        "one": np.float32(1), "x_zero_point": dtype(128 if dtype is np.uint8 else -1),
        "w_codes": np.array([1, -3, 2], np.int8).reshape(3, 1, 1, 1),
        "steps": np.array([0.5, 0.5, 1], np.float32), "w_zero_points": np.zeros(3, np.int8),
        "b_codes": np.array([0, 1, -5], np.int32), "b_zero_points": np.zeros(3, np.int32),
        "scale": np.float32(output_scale),
    }  # fmt: skip
    return model_of(nodes, {"x": [1, 1, 16, 16]}, {"y": None}, weights, opset=21, ir_version=10)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("output_scale", [1.0, 8.0, 0.25])
def test_ties_go_to_the_even_code_in_both_runtimes(
    output_scale: float, dtype: type, program: Compile
) -> None:
    model, codes = one_conv(output_scale, dtype), np.arange(256).reshape(1, 1, 16, 16)
    codes = (codes + np.iinfo(dtype).min).astype(dtype)
    shown, names = with_codes_as_outputs(model)
    zero_point = numpy_helper.to_array(model.graph.initializer[1])
    feed = {"x": codes.astype(np.float32) - np.float32(zero_point)}
    session = onnxruntime.InferenceSession(shown.SerializeToString())
    (theirs,) = session.run([names["a"]], feed)
    (reference,) = ReferenceEvaluator(shown).run([names["a"]], feed)
    np.testing.assert_array_equal(theirs, reference)
    ours = program(model, f"{np.dtype(dtype).name}_t").outputs(0, codes)
    np.testing.assert_array_equal(ours, theirs.reshape(-1))
    # The test would notice if ties were rounded up.
    sums = feed["x"] * np.array([0.5, -1.5, 2]).reshape(3, 1, 1)
    up = np.floor((sums + np.array([0, 0.5, -5]).reshape(3, 1, 1)) / output_scale + 0.5)
    limits = np.iinfo(dtype)
    rounded_up = np.clip(up + zero_point, limits.min, limits.max)
    assert (theirs != rounded_up).any() == (output_scale >= 1)


def test_a_bias_that_stays_float_is_added(program: Compile) -> None:
    model, codes = one_conv(0.75, np.int8), np.arange(-128, 128).reshape(1, 1, 16, 16)
    biases = np.array([0.3, 40.7, -30.1], np.float32)
    model.graph.initializer.append(numpy_helper.from_array(biases, "floats"))
    model.graph.node[4].input[2] = "floats"
    shown, names = with_codes_as_outputs(model)
    feed = {"x": codes.astype(np.float32) + 1}
    (theirs,) = ReferenceEvaluator(shown).run([names["a"]], feed)
    ours = program(model, "int8_t").outputs(0, codes.astype(np.int8))
    np.testing.assert_array_equal(ours, theirs.reshape(-1))


def test_a_shift_to_the_left_is_clipped_after_it(program: Compile) -> None:
    model = one_conv(2.0**-30, np.int8)  # 100 * .5 is 50 * 2^30 steps, far beyond 32 bits
    codes = np.full((1, 1, 16, 16), 99, np.int8)
    ours = program(model, "int8_t").outputs(0, codes).reshape(3, -1)
    assert [set(each.tolist()) for each in ours] == [{127}, {-128}, {127}]

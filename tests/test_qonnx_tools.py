"""What the packages qonnx and hls4ml make of our files in QONNX, where they are installed.

hls4ml is run as its users do, and compiled by g++: its C simulation computes with the fixed-point
types that the hardware has.
"""

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documents import blocks
from graphs import model_of, node, random, run
from onnx import ModelProto, load_from_string

import onnx_evoq
from onnx_evoq import Grid, Result

pytestmark = pytest.mark.filterwarnings("ignore")

qonnx = pytest.importorskip("qonnx")
PAGE = Path(__file__).parent.parent / "docs" / "qonnx.md"
X = (np.round(16 * random(64, 2, 8, 8, seed=5)) / 16).astype(np.float32)
KERNEL = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [1, 1], "dilations": [1, 1]}
POOL = {"kernel_shape": [2, 2], "pads": [0, 0, 0, 0], "strides": [2, 2]}


def small_net(activation: str = "Relu") -> ModelProto:
    """x (n, 2, 8, 8) -> Conv, residual Conv, depthwise Conv, MaxPool, Gemm -> y (n, 5)."""
    limits = ["low", "high"] if activation == "Clip" else []
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["a"], group=1, **KERNEL),
        node(activation, ["a", *limits], ["b"]),
        node("Conv", ["b", "w2", "b2"], ["c"], group=1, **KERNEL),
        node("Add", ["b", "c"], ["d"]),
        node("Relu", ["d"], ["e"]),
        node("Conv", ["e", "w3", "b3"], ["f"], group=4, **KERNEL),
        node("LeakyRelu", ["f"], ["g"], alpha=0.125),
        node("MaxPool", ["g"], ["h"], **POOL),
        node("Flatten", ["h"], ["i"]),
        node("Gemm", ["i", "w4", "b4"], ["y"]),
    ]
    weights = {
        "w1": random(4, 2, 3, 3, seed=1) / 4, "b1": random(4, seed=2) / 4,
        "w2": random(4, 4, 3, 3, seed=3) / 6, "b2": random(4, seed=4) / 4,
        "w3": random(4, 1, 3, 3, seed=6) / 3, "b3": random(4, seed=7) / 4,
        "w4": random(64, 5, seed=8) / 8, "b4": random(5, seed=9),
        "low": np.array(0, np.float32), "high": np.array(1.5, np.float32),
    }  # fmt: skip
    return model_of(nodes, {"x": ["n", 2, 8, 8]}, {"y": ["n", 5]}, weights, opset=13)


@cache
def made(bits: int, activations: int | None, form: str, **options: Any) -> Result:
    grid = {key: value for key, value in options.items() if key != "activation"}
    return onnx_evoq.optimize(
        small_net(options.get("activation", "Relu")), X, bits=bits,
        grid=Grid(activations=activations, **grid), strategy="none", time_budget=None,
        format=form, storage="int8",  # type: ignore[arg-type]
    )  # fmt: skip


def scored(bits: int, activations: int | None, **options: Any) -> Any:
    """What ONNX Runtime computes of the same codes."""
    return run(made(bits, activations, "qdq", **options).model, {"x": X})["y"]


def largest_error(found: Any, expected: Any) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize(
    ("bits", "activations", "options"),
    [
        (6, None, {}), (4, 8, {}), (4, 5, {}), (6, 12, {}),
        (6, None, {"granularity": "channel"}), (4, 8, {"granularity": "channel"}),
        (4, 8, {"activation": "Clip"}), (6, None, {"activation": "Clip"}),
        (6, 8, {"scale": "float", "activation_scale": "float"}),
    ],
)  # fmt: skip
def test_qonnx_computes_what_was_scored(
    bits: int, activations: int | None, options: dict[str, Any]
) -> None:
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.util.cleanup import cleanup_model

    model = cleanup_model(ModelWrapper(made(bits, activations, "qonnx", **options).model))
    name = model.graph.input[0].name
    found = [next(iter(execute_onnx(model, {name: x}).values())) for x in X[:16, None]]
    expected = scored(bits, activations, **options)[:16]
    assert largest_error(np.concatenate(found), expected) < 1e-6


class Simulation:
    """A model as hls4ml has it, compiled to C++."""

    def __init__(self, model: ModelProto, folder: Path, default: str = "fixed<16,6>") -> None:
        hls4ml = pytest.importorskip("hls4ml")
        if shutil.which("g++") is None:
            pytest.skip("needs g++")
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
        from qonnx.transformation.gemm_to_matmul import GemmToMatMul
        from qonnx.util.cleanup import cleanup_model

        clean = cleanup_model(ModelWrapper(model)).transform(ConvertToChannelsLastAndClean())
        clean = cleanup_model(clean.transform(GemmToMatMul()))
        config = hls4ml.utils.config_from_onnx_model(
            clean, granularity="name", backend="Vitis", default_precision=default
        )
        self.converted = hls4ml.converters.convert_from_onnx_model(
            clean, output_dir=str(folder), io_type="io_parallel", backend="Vitis", hls_config=config
        )

    def weights(self) -> list[tuple[int, int]]:
        """The width and the bits before the binary point of the weights, in the graph's order."""
        types = [layer.types for layer in self.converted.get_layers() if hasattr(layer, "types")]
        kinds = ("weight_t", "depthwise_t")
        found = [own[kind].precision for own in types for kind in kinds if kind in own]
        return [(each.width, each.integer) for each in found]

    def outputs(self) -> Any:
        self.converted.compile()
        return self.converted.predict(X).reshape(len(X), -1)


def test_hls4ml_reads_the_exact_widths_and_computes_the_same(tmp_path: Path) -> None:
    result = made(6, 8, "qonnx")
    simulation = Simulation(result.model, tmp_path)
    frac = {layer.name: layer.frac_bits for layer in result.layers}
    expected = [(6, 6 - frac[name]) for name in ("w1", "w2", "w3", "w4")]
    assert simulation.weights() == expected
    assert (simulation.outputs() == scored(6, 8)).all()


def test_activations_that_stay_floats_have_the_default_type(tmp_path: Path) -> None:
    simulation = Simulation(made(6, None, "qonnx").model, tmp_path, "fixed<24,8>")
    assert {width for width, _ in simulation.weights()} == {6}
    found, expected = simulation.outputs(), scored(6, None)
    assert largest_error(found, expected) < 1e-4
    assert (found.argmax(1) == expected.argmax(1)).all()


def test_the_program_of_the_documentation_gives_each_weight_one_step(tmp_path: Path) -> None:
    result = made(6, 8, "qonnx", granularity="channel")
    with pytest.raises(IndexError):
        Simulation(result.model, tmp_path / "refused")
    one_step: dict[str, Any] = {}
    (program,) = (b.text for b in blocks(PAGE.read_text("utf-8")) if "def with_one_step" in b.text)
    exec(program.partition("\n\nmodel = ")[0], one_step)
    model = one_step["with_one_step"](load_from_string(result.model.SerializeToString()))
    simulation = Simulation(model, tmp_path)
    steps = {layer.name: np.atleast_1d(layer.frac_bits) for layer in result.layers}
    widths = [6 + np.ptp(steps[name]) for name in ("w1", "w2", "w3", "w4")]
    assert [width for width, _ in simulation.weights()] == widths
    assert max(widths) > 6
    assert (simulation.outputs() == scored(6, 8, granularity="channel")).all()


def test_what_hls4ml_does_not_take_is_as_documented(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="Unsupported operation type: Clip"):
        Simulation(made(6, 8, "qonnx", activation="Clip").model, tmp_path / "clip")
    for activations, error in ((8, IndexError), (None, ValueError)):
        with pytest.raises(error):
            Simulation(
                made(6, activations, "qonnx", scale="float").model, tmp_path / error.__name__
            )

import numpy as np
import pytest
from graphs import model_of, node, random
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from onnx_evoq.model import load
from onnx_evoq.model.outputs.dependence import Dependence, dependences

ONE = np.array([1], np.int64)


def of(nodes: list[NodeProto], name: str, *, opset: int = 17, **constants: object) -> Dependence:
    """What a tensor depends on behind y = x w, with the weight w and constants."""
    return dependences(behind(nodes, opset=opset, **constants), ["w"])[name]


def behind(nodes: list[NodeProto], *, opset: int = 17, **constants: object) -> ModelProto:
    first = node("MatMul", ["x", "w"], ["y"])
    weights = {"w": random(4, 3), **{key: np.asarray(value) for key, value in constants.items()}}
    outputs = {nodes[-1].output[0]: None}
    return load(model_of([first, *nodes], {"x": [2, 4]}, outputs, weights, opset=opset))


def test_weights_and_inputs_are_told_apart() -> None:
    nodes = [node("Relu", ["x"], ["a"]), node("Relu", ["w"], ["b"]), node("Add", ["y", "a"], ["c"])]
    known = dependences(behind(nodes), ["other", "w"])
    assert (known["a"].weights, known["a"].varies, known["a"].weighted) == (0, True, False)
    assert (known["b"].weights, known["b"].varies, known["b"].weighted) == (2, False, False)
    assert (known["c"].weights, known["c"].weighted) == (2, True)


@pytest.mark.parametrize(
    ("nodes", "rows_vary", "jumps"),
    [
        ([node("Softmax", ["y"], ["z"])], False, False),
        ([node("NonZero", ["y"], ["z"])], True, True),
        ([node("NonZero", ["x"], ["z"])], False, False),
        ([node("ArgMax", ["y"], ["z"])], False, True),
        ([node("Compress", ["y", "flags"], ["z"], axis=0)], False, False),
        ([node("Round", ["y"], ["z"])], False, True),
        ([node("Cast", ["y"], ["z"], to=TensorProto.INT32)], False, True),
        ([node("ArgMax", ["y"], ["i"]), node("Gather", ["x", "i"], ["z"])], False, True),
        ([node("ArgMax", ["x"], ["i"]), node("Gather", ["y", "i"], ["z"])], False, False),
        ([node("Shape", ["y"], ["s"]), node("Reshape", ["y", "s"], ["z"])], False, False),
        (
            [node("ArgMax", ["y"], ["i"], keepdims=0), node("ConstantOfShape", ["i"], ["z"])],
            True,
            True,
        ),
        ([node("NonZero", ["y"], ["i"]), node("Shape", ["i"], ["z"])], False, True),
        ([node("Greater", ["y", "zero"], ["g"]), node("Where", ["g", "y", "zero"], ["z"])],
         False, False),
    ],
)  # fmt: skip
def test_rows_and_jumps(nodes: list[NodeProto], rows_vary: bool, jumps: bool) -> None:
    found = of(nodes, "z", zero=np.float32(0), flags=np.array([True, False]))
    assert (found.rows_vary, found.jumps) == (rows_vary, jumps)


@pytest.mark.parametrize("name", ["If", "Loop", "Scan"])
def test_an_operator_of_another_domain_needs_no_body(name: str) -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"]), node(name, ["y"], ["z"], domain="com.example")]
    model = model_of(nodes, {"x": [2, 4]}, {"z": None}, {"w": random(4, 3)})
    assert dependences(model, ["w"])["z"].weights == 1


def test_a_sum_of_all_has_one_row_whatever_it_sums() -> None:
    nodes = [node("NonZero", ["y"], ["i"]), node("ReduceSum", ["i"], ["z"])]
    assert not of(nodes, "z").rows_vary


def test_regions_in_another_order_are_other_rows() -> None:
    nodes = [
        node("TopK", ["y", "one"], ["values", "i"]),
        node("Gather", ["rois", "i"], ["chosen"], axis=0),
        node("RoiAlign", ["map", "chosen", "zeros"], ["z"]),
    ]
    zeros = np.zeros(1, np.int64)
    found = of(nodes, "z", one=ONE, rois=random(3, 4), map=random(1, 1, 4, 4), zeros=zeros)
    assert found.rows_vary


def test_what_is_known_of_a_shape_counts() -> None:
    nodes = [node("NonZero", ["y"], ["i"]), node("Relu", ["y"], ["r"])]
    known = dependences(behind(nodes), ["w"], fixed=["i"], varying=["r"])
    assert not known["i"].rows_vary
    assert known["r"].rows_vary


def body(nodes: list[NodeProto], inputs: list[str], outputs: list[str]) -> GraphProto:
    values = [helper.make_empty_tensor_value_info(name) for name in inputs]
    kinds = {"go": TensorProto.BOOL}
    made = [
        helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), None)
        for name in outputs
    ]
    return helper.make_graph(nodes, "body", values, made)


def looped(condition: str, count: str = "") -> Dependence:
    """A Loop that carries y, and collects it; it goes on while a condition holds."""
    inner = body(
        [
            node("Relu", ["carried"], ["next"]),
            node("Greater", [condition, "zero"], ["more"]),
            node("Identity", ["more"], ["go"]),
            node("Identity", ["next"], ["each"]),
        ],
        ["step", "before", "carried"],
        ["go", "next", "each"],
    )
    zero = numpy_helper.from_array(np.float32(0), "zero")
    inner.initializer.append(zero)
    loop = node("Loop", [count, "", "y"], ["last", "z"], body=inner)
    return dependences(behind([loop]), ["w"])["z"]


def test_a_loop_whose_end_depends_on_weights_has_rows_that_vary() -> None:
    assert looped("next").rows_vary
    assert not looped("x").rows_vary
    assert looped("x").weighted


def test_a_branch_that_weights_choose_jumps() -> None:
    def branch(name: str) -> GraphProto:
        return body([node("Identity", ["y"], [name])], [], [name])

    chosen = [
        node("ReduceMax", ["y"], ["m"], keepdims=0),
        node("Cast", ["m"], ["c"], to=TensorProto.BOOL),
        node("If", ["c"], ["z"], then_branch=branch("a"), else_branch=branch("b")),
    ]
    found = of(chosen, "z")
    assert found.jumps
    assert found.rows_vary
    given = [
        node("ReduceMax", ["x"], ["m"], keepdims=0),
        node("Cast", ["m"], ["c"], to=TensorProto.BOOL),
        node("If", ["c"], ["z"], then_branch=branch("a"), else_branch=branch("b")),
    ]
    assert of(given, "z") == of([node("Identity", ["y"], ["z"])], "z")


def test_a_scan_carries_what_it_reads() -> None:
    inner = body(
        [node("Add", ["state", "row"], ["next"]), node("Round", ["next"], ["each"])],
        ["state", "row"],
        ["next", "each"],
    )
    scan = node("Scan", ["s", "y"], ["last", "z"], body=inner, num_scan_inputs=1)
    known = dependences(behind([scan], s=np.zeros(3, np.float32)), ["w"])
    assert known["last"].weighted
    assert not known["last"].jumps
    assert known["z"].jumps

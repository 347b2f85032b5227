"""Which initializers are weights, along which axis, and why the others are not."""

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random, recurrent
from onnx import GraphProto, ModelProto, TensorProto, helper

from onnx_evoq.errors import ModelError
from onnx_evoq.model import (
    check_finite,
    find_weights,
    load,
    replace_weights,
    weights_named,
)
from onnx_evoq.model.weights import weight_operators


def axes(model: ModelProto) -> dict[str, int | None]:
    return {weight.name: weight.axis for weight in find_weights(load(model))[0]}


def reasons(model: ModelProto) -> dict[str, str]:
    return {skipped.name: skipped.reason for skipped in find_weights(load(model))[1]}


def one(
    op_type: str, weight: np.ndarray, x: list, y: list, *, left: bool = False, **attributes: object
) -> ModelProto:
    """A model of one node."""
    inputs = ["w", "x"] if left else ["x", "w"]
    nodes = [node(op_type, inputs, ["y"], "layer", **attributes)]
    return model_of(nodes, {"x": x}, {"y": y}, {"w": weight})


@pytest.mark.parametrize(
    ("model", "axis"),
    [
        (one("Conv", random(6, 3, 3, 3), ["n", 3, 8, 8], ["n", 6, 6, 6]), 0),
        (one("Conv", random(6, 3, 3), ["n", 3, 8], ["n", 6, 6]), 0),
        (one("Conv", random(6, 1, 3, 3), ["n", 6, 8, 8], ["n", 6, 6, 6], group=6), 0),
        (one("ConvTranspose", random(3, 6, 3, 3), ["n", 3, 8, 8], ["n", 6, 10, 10]), 1),
        (one("Gemm", random(3, 4), ["n", 4], ["n", 3], transB=1), 0),
        (one("Gemm", random(4, 3), ["n", 4], ["n", 3]), 1),
        (one("MatMul", random(4, 3), ["n", 4], ["n", 3]), 1),
        (one("MatMul", random(2, 4, 3), [2, "n", 4], [2, "n", 3]), 2),
        (one("MatMul", random(3, 4), [4, "n"], [3, "n"], left=True), 0),
        (one("MatMul", random(4), ["n", 4], ["n"]), None),
    ],
)
def test_the_channel_axis_is_where_the_outputs_lie(model: ModelProto, axis: int | None) -> None:
    assert axes(model) == {"w": axis}


@pytest.mark.parametrize(("op_type", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent_weights_have_axis_1_and_their_bias_none(op_type: str, gates: int) -> None:
    weights = {
        "W": random(1, gates * 5, 4),
        "R": random(1, gates * 5, 5),
        "B": random(1, 2 * gates * 5),
    }
    nodes = [node(op_type, ["x", "W", "R", "B"], ["y"], hidden_size=5)]
    model = model_of(nodes, {"x": [7, "n", 4]}, {"y": [7, 1, "n", 5]}, weights)
    assert axes(model) == {"W": 1, "R": 1}
    assert reasons(model) == {"B": f"bias or state of {op_type}: biases stay float"}


def test_a_table_is_a_weight_without_an_axis() -> None:
    nodes = [node("Gather", ["table", "x"], ["y"])]
    model = model_of(
        nodes, {"x": ["n"]}, {"y": ["n", 8]}, {"table": random(20, 8)}, dtypes={"x": "int64"}
    )
    assert axes(model) == {"table": None}


def test_biases_and_norms_are_skipped_with_a_reason() -> None:
    assert reasons(conv_net()) == {
        "scale": "parameter of BatchNormalization: normalization stays float",
        "offset": "parameter of BatchNormalization: normalization stays float",
        "mean": "parameter of BatchNormalization: normalization stays float",
        "var": "parameter of BatchNormalization: normalization stays float",
        "b2": "bias or state of Conv: biases stay float",
        "b3": "bias or state of Gemm: biases stay float",
    }


def test_the_reason_names_the_reader_of_an_initializer() -> None:
    nodes = [
        node("Reshape", ["x", "shape"], ["a"]),
        node("Add", ["a", "bias"], ["y"]),
    ]
    model = model_of(
        nodes,
        {"x": ["n", 4]},
        {"y": ["m", 2]},
        {"shape": np.array([-1, 2]), "bias": random(2), "lost": random(3)},
    )
    assert reasons(model) == {
        "shape": "int64: an index, shape or flag of Reshape",
        "bias": "input 1 of Add: not an operator with weights",
        "lost": "no node reads it",
    }


def test_float64_weights_are_skipped_with_a_reason() -> None:
    nodes = [
        node("Cast", ["x"], ["a"], to=11),
        node("MatMul", ["a", "w"], ["b"]),
        node("Cast", ["b"], ["y"], to=1),
    ]
    model = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, {"w": random(4, 3, dtype="float64")})
    assert reasons(model) == {"w": "float64: only float32 and float16 are quantized"}


def test_float16_weights_are_weights() -> None:
    weights, _ = find_weights(load(conv_net(dtype="float16")))
    assert {weight.dtype for weight in weights} == {"float16"}
    assert {weight.values.dtype for weight in weights} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("between", "shape", "axis"),
    [
        ([node("Identity", ["w"], ["v"])], (4, 3), 1),
        ([node("Transpose", ["w"], ["v"])], (3, 4), 0),
        ([node("Transpose", ["w"], ["v"], perm=[0, 1])], (4, 3), 1),
        ([node("Reshape", ["w", "shape"], ["v"])], (12,), None),
        ([node("Transpose", ["w"], ["u"]), node("Transpose", ["u"], ["v"])], (4, 3), 1),
    ],
)
def test_weights_are_found_behind_nodes_that_pass_them_on(
    between: list, shape: tuple[int, ...], axis: int | None
) -> None:
    nodes = [*between, node("MatMul", ["x", "v"], ["y"])]
    weights = {"w": random(*shape), "shape": np.array([4, 3])}
    assert axes(model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, weights)) == {"w": axis}


def test_a_cast_weight_is_found() -> None:
    nodes = [node("Cast", ["w"], ["v"], to=1), node("MatMul", ["x", "v"], ["y"])]
    model = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, {"w": random(4, 3, dtype="float16")})
    (weight,), _ = find_weights(load(model))
    assert (weight.name, weight.axis, weight.dtype) == ("w", 1, "float16")


def test_a_weight_of_two_nodes_counts_once() -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"], "one"),
        node("MatMul", ["a", "w"], ["y"], "two"),
    ]
    model = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, {"w": random(4, 4)})
    (weight,), _ = find_weights(load(model))
    assert weight.nodes == ("one", "two")
    assert weight.axis == 1


@pytest.mark.parametrize(("turned", "axis"), [((0, 1), 0), ((1, 0), 1), ((0, 1, 0), 1)])
def test_where_nodes_disagree_that_of_most_counts_or_of_the_last(
    turned: tuple[int, ...], axis: int
) -> None:
    names = ["x", *(f"a{k}" for k in range(len(turned) - 1)), "y"]
    nodes = [
        node("Gemm", [names[k], "w"], [names[k + 1]], transB=each) for k, each in enumerate(turned)
    ]
    model = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 4]}, {"w": random(4, 4)})
    assert axes(model) == {"w": axis}


def test_a_table_that_a_layer_reads_too_has_the_axis_of_the_layer() -> None:
    nodes = [
        node("Gather", ["w", "x"], ["a"]),
        node("Gemm", ["a", "w"], ["y"], transB=1),
    ]
    model = model_of(
        nodes, {"x": ["n"]}, {"y": ["n", 9]}, {"w": random(9, 4)}, dtypes={"x": "int64"}
    )
    assert axes(model) == {"w": 0}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_refused(bad: float) -> None:
    values = random(4, 6)
    values[1, 2] = bad
    weights, _ = find_weights(replace_weights(load(mlp()), {"first": values}))
    with pytest.raises(ModelError, match="weight 'first' holds NaN or infinity: train or export"):
        check_finite(weights)


def test_a_table_with_infinity_is_no_weight() -> None:
    nodes = [node("Gather", ["mask", "x"], ["y"])]
    mask = np.triu(np.full((4, 4), -np.inf, np.float32), 1)
    model = model_of(nodes, {"x": ["n"]}, {"y": ["n", 4]}, {"mask": mask}, dtypes={"x": "int64"})
    assert axes(model) == {}
    assert reasons(model)["mask"].startswith("looked up by Gather")


def test_branches_side_by_side_may_use_the_same_names() -> None:
    def branch(weight: str, **attributes: object) -> GraphProto:
        value = helper.make_tensor_value_info(f"{weight}_y", TensorProto.FLOAT, ["n", 4])
        nodes = [
            node("Transpose", [weight], ["v"], **attributes),
            node("MatMul", ["x", "v"], [f"{weight}_y"]),
        ]
        return helper.make_graph(nodes, weight, [], [value])

    nodes = [
        node("If", ["flag"], ["y"], then_branch=branch("a"), else_branch=branch("b", perm=[0, 1]))
    ]
    weights = {"a": random(4, 4), "b": random(4, 4)}
    inputs = {"x": ["n", 4], "flag": []}
    model = model_of(nodes, inputs, {"y": ["n", 4]}, weights, dtypes={"flag": "bool"})
    assert axes(model) == {"a": 0, "b": 1}


def test_a_node_of_another_domain_has_no_weight() -> None:
    model = mlp()
    model.graph.node[0].domain = "my.domain"
    model.opset_import.add(domain="my.domain", version=1)
    assert list(axes(model)) == ["second"]


def test_the_shape_of_a_weight_is_that_of_its_values() -> None:
    first, second = find_weights(load(mlp()))[0]
    assert (first.shape, second.shape) == ((4, 6), (3, 6))


def test_weights_are_found_by_name_in_graph_order() -> None:
    model = load(mlp())
    assert [w.name for w in weights_named(model, {"second", "first", "absent"})] == [
        "first", "second",
    ]  # fmt: skip
    assert [w.name for w in weights_named(model, {"second"})] == ["second"]


def test_an_input_that_a_node_leaves_out_is_no_weight() -> None:
    nodes = [node("RNN", ["x", "W"], ["y"], hidden_size=5)]
    model = model_of(nodes, {"x": [7, "n", 4]}, {"y": None}, {"W": random(1, 5, 4)})
    assert [weight.name for weight in find_weights(model)[0]] == ["W"]


def test_permutations_apply_in_the_order_of_the_graph() -> None:
    nodes = [
        node("Transpose", ["w"], ["u"], perm=[1, 2, 0]),
        node("Transpose", ["u"], ["v"], perm=[1, 0, 2]),
        node("MatMul", ["x", "v"], ["y"]),
    ]
    # w (4, 2, 3) -> u (2, 3, 4) -> v (3, 2, 4), whose last axis is the first of w
    model = model_of(nodes, {"x": [3, "n", 2]}, {"y": None}, {"w": random(4, 2, 3)})
    assert axes(model) == {"w": 0}
    nodes[1] = node("Transpose", ["u"], ["v"], perm=[2, 0, 1])  # v (4, 2, 3)
    model = model_of(nodes, {"x": [4, "n", 2]}, {"y": None}, {"w": random(4, 2, 3)})
    assert axes(model) == {"w": 2}


@pytest.mark.parametrize(
    ("shape", "axis"), [((6,), 0), ((6, 2, 2), 0), ((6, 2), 1), ((0, 2), 0)], ids=str
)
def test_gather_reads_a_table_only_by_rows_of_a_matrix(shape: tuple[int, ...], axis: int) -> None:
    nodes = [node("Gather", ["w", "x"], ["y"], axis=axis)]
    model = model_of(nodes, {"x": ["n"]}, {"y": None}, {"w": random(*shape)}, dtypes={"x": "int64"})
    assert axes(model) == {}


def test_a_scalar_is_no_weight() -> None:
    model = model_of([node("MatMul", ["x", "w"], ["y"])], {"x": ["n"]}, {"y": None},
                     {"w": np.float32(3)})  # fmt: skip
    assert find_weights(model)[0] == []


def test_a_reshape_for_one_reader_hides_the_axis_for_all() -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Reshape", ["w", "shape"], ["v"]),
        node("MatMul", ["a", "v"], ["y"]),
    ]
    weights = {"w": random(4, 6), "shape": np.array([6, 4])}
    assert axes(model_of(nodes, {"x": ["n", 4]}, {"y": None}, weights)) == {"w": None}
    weights = {"w": random(4, 4), "shape": np.array([0, -1])}  # which changes nothing
    assert axes(model_of(nodes, {"x": ["n", 4]}, {"y": None}, weights)) == {"w": 1}


def test_the_first_input_of_another_operator_is_named() -> None:
    model = model_of([node("Sub", ["c", "x"], ["y"])], {"x": ["n"]}, {"y": None}, {"c": random(1)})
    assert reasons(model) == {"c": "input 0 of Sub: not an operator with weights"}


def test_weights_of_operators_that_onnx_runtime_adds() -> None:
    own = {"domain": "com.microsoft"}
    nodes = [
        node("FusedConv", ["x", "c", "cb"], ["a"], kernel_shape=[1], **own),
        node("FusedMatMul", ["a", "m"], ["b"], transB=1, **own),
        node("Attention", ["b", "q", "qb"], ["d"], num_heads=1, **own),
        node("CausalConvWithState", ["d", "s"], ["y"], **own),
    ]
    weights = {"c": random(6, 4, 1), "cb": random(6), "m": random(8, 8), "q": random(8, 24),
               "qb": random(24), "s": random(6, 1, 3)}  # fmt: skip
    model = model_of(nodes, {"x": ["n", 4, 8]}, {"y": None}, weights)
    assert axes(model) == {"c": 0, "m": 0, "q": 1, "s": 0}
    assert reasons(model) == {
        "cb": "bias or state of FusedConv: biases stay float",
        "qb": "bias or state of Attention: biases stay float",
    }


def test_weights_in_the_layout_of_a_processor_stay_as_they_are() -> None:
    nodes = [node("Conv", ["x", "w"], ["y"], domain="com.microsoft.nchwc")]
    model = model_of(nodes, {"x": ["n", 8, 4, 4]}, {"y": None}, {"w": random(8, 8, 1, 1)})
    assert axes(model) == {}
    (reason,) = reasons(model).values()
    assert reason == "laid out for one processor by ONNX Runtime: give the model from before"


def test_an_operator_of_the_user_has_no_weights_whatever_its_name() -> None:
    nodes = [node("Conv", ["x", "w"], ["y"], domain="my.ops")]
    model = model_of(nodes, {"x": ["n", 8, 4, 4]}, {"y": None}, {"w": random(8, 8, 1, 1)})
    assert axes(model) == {}


def test_the_operators_of_weights_are_known_without_their_values() -> None:
    model = load(recurrent())
    weights = find_weights(model)[0]
    assert list(weight_operators(model).items()) == [(w.name, w.op_type) for w in weights]

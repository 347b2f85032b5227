"""BatchNormalization is folded where that is exact, and left where it is not."""

from collections.abc import Sequence

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random, run
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from onnx_evoq.model import find_weights, fold_batch_norm, load

NORM = ["scale", "offset", "mean", "var"]


def norm_weights(channels: int) -> dict[str, NDArray[np.float32]]:
    return {
        "scale": random(channels, seed=11),
        "offset": random(channels, seed=12),
        "mean": random(channels, seed=13),
        "var": (0.1 + random(channels, seed=14) ** 2).astype(np.float32),
    }


def with_norm(
    layer: NodeProto,
    weights: dict[str, NDArray[np.floating]],
    channels: int,
    x: Sequence[int | str],
    *,
    extra: Sequence[NodeProto] = (),
    **attributes: object,
) -> ModelProto:
    """layer -> a -> BatchNormalization -> y."""
    norm = node("BatchNormalization", ["a", *NORM], ["y"], "norm", **attributes)
    return model_of(
        [layer, norm, *extra], {"x": x}, {"y": None}, {**weights, **norm_weights(channels)}
    )


def check_same_outputs(one: ModelProto, two: ModelProto, x: NDArray[np.floating]) -> None:
    before, after = (next(iter(run(model, {"x": x}).values())) for model in (one, two))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)


CASES = {
    "conv": (node("Conv", ["x", "w"], ["a"]), {"w": random(6, 3, 3, 3)}, 6, (3, 8, 8)),
    "conv with bias": (
        node("Conv", ["x", "w", "b"], ["a"]),
        {"w": random(6, 3, 3, 3), "b": random(6, seed=2)},
        6,
        (3, 8, 8),
    ),
    "depthwise": (
        node("Conv", ["x", "w"], ["a"], group=3),
        {"w": random(3, 1, 3, 3)},
        3,
        (3, 8, 8),
    ),
    "transposed": (
        node("ConvTranspose", ["x", "w"], ["a"]),
        {"w": random(4, 6, 2, 2)},
        6,
        (4, 5, 5),
    ),
    "transposed, groups": (
        node("ConvTranspose", ["x", "w"], ["a"], group=2),
        {"w": random(4, 3, 2, 2)},
        6,
        (4, 5, 5),
    ),
    "gemm": (node("Gemm", ["x", "w"], ["a"]), {"w": random(4, 6)}, 6, (4,)),
    "gemm, transposed and scaled": (
        node("Gemm", ["x", "w", "b"], ["a"], transB=1, alpha=0.5, beta=2.0),
        {"w": random(6, 4), "b": random(6, seed=2)},
        6,
        (4,),
    ),
    "gemm with bias": (
        node("Gemm", ["x", "w", "b"], ["a"]),
        {"w": random(4, 6), "b": random(6, seed=2)},
        6,
        (4,),
    ),
    "gemm, a row as bias": (
        node("Gemm", ["x", "w", "b"], ["a"]),
        {"w": random(4, 6), "b": random(1, 6, seed=2)},
        6,
        (4,),
    ),
    "gemm, one bias for all": (
        node("Gemm", ["x", "w", "b"], ["a"]),
        {"w": random(4, 6), "b": random(1, seed=2)},
        6,
        (4,),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_folding_keeps_the_outputs(case: tuple) -> None:
    layer, weights, channels, shape = case
    model = with_norm(layer, weights, channels, ["n", *shape])
    folded, names = fold_batch_norm(load(model))
    assert names == ["norm"]
    assert [n.op_type for n in folded.graph.node] == [layer.op_type]
    assert {tensor.name for tensor in folded.graph.initializer} == {"w", "y_bias"}
    check_same_outputs(model, folded, random(3, *shape, seed=5))


def test_a_fold_worked_by_hand() -> None:
    weights = {
        "w": np.full((1, 1, 1, 1), 3, np.float32),
        "b": np.array([5], np.float32),
        "scale": np.array([4], np.float32),
        "offset": np.array([7], np.float32),
        "mean": np.array([1], np.float32),
        "var": np.array([3], np.float32),
    }
    nodes = [
        node("Conv", ["x", "w", "b"], ["a"]),
        node("BatchNormalization", ["a", *NORM], ["y"], epsilon=1.0),
    ]
    model = model_of(nodes, {"x": ["n", 1, 2, 2]}, {"y": None}, weights)
    folded, _ = fold_batch_norm(load(model))
    values = {t.name: np.frombuffer(t.raw_data, np.float32) for t in folded.graph.initializer}
    # gain 4 / sqrt(3 + 1) = 2: weight 2 * 3, bias 2 * (5 - 1) + 7
    assert values["w"].tolist() == [6.0]
    assert values["y_bias"].tolist() == [15.0]


def test_float16_models_fold_too() -> None:
    folded, names = fold_batch_norm(load(conv_net(dtype="float16")))
    assert names == ["norm"]
    assert {weight.dtype for weight in find_weights(folded)[0]} == {"float16"}


def test_a_model_without_batch_normalization_is_not_copied() -> None:
    model = load(mlp())
    assert fold_batch_norm(model) == (model, [])
    assert fold_batch_norm(model)[0] is model


def test_the_model_that_was_given_stays_as_it_is() -> None:
    model = load(conv_net())
    before = model.SerializeToString(deterministic=True)
    fold_batch_norm(model)
    assert model.SerializeToString(deterministic=True) == before


def test_a_shared_weight_keeps_its_values_for_the_others() -> None:
    layer = node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1])
    other = node("Conv", ["y", "w"], ["z"], pads=[1, 1, 1, 1])
    model = with_norm(layer, {"w": random(3, 3, 3, 3)}, 3, ["n", 3, 8, 8], extra=[other])
    model.graph.output[0].name = "z"
    folded, names = fold_batch_norm(load(model))
    assert names == ["norm"]
    assert [weight.name for weight in find_weights(folded)[0]] == ["w_folded", "w"]
    check_same_outputs(model, folded, random(2, 3, 8, 8))


CONV = node("Conv", ["x", "w"], ["a"])
WEIGHT = {"w": random(6, 3, 3, 3)}


def read_twice() -> ModelProto:
    return with_norm(CONV, WEIGHT, 6, ["n", 3, 8, 8], extra=[node("Relu", ["a"], ["z"])])


def an_output_itself() -> ModelProto:
    model = with_norm(CONV, WEIGHT, 6, ["n", 3, 8, 8])
    model.graph.output.add().CopyFrom(model.graph.output[0])
    model.graph.output[1].name = "a"
    return model


def after_something_else() -> ModelProto:
    return with_norm(node("Relu", ["x"], ["a"]), {}, 3, ["n", 3, 8, 8])


def with_a_computed_scale() -> ModelProto:
    model = with_norm(CONV, WEIGHT, 6, ["n", 3, 8, 8])
    model.graph.node.insert(0, node("Exp", ["scale"], ["computed"]))
    model.graph.node[2].input[1] = "computed"
    return model


def with_a_computed_weight() -> ModelProto:
    model = with_norm(CONV, WEIGHT, 6, ["n", 3, 8, 8])
    model.graph.node.insert(0, node("Tanh", ["w"], ["computed"]))
    model.graph.node[1].input[1] = "computed"
    return model


def with_a_bias_per_sample() -> ModelProto:
    layer = node("Gemm", ["x", "w", "b"], ["a"])
    return with_norm(layer, {"w": random(4, 6), "b": random(2, 6)}, 6, [2, 4])


def with_a_computed_bias() -> ModelProto:
    layer = node("Conv", ["x", "w", "computed"], ["a"])
    model = with_norm(layer, {**WEIGHT, "b": random(6)}, 6, ["n", 3, 8, 8])
    model.graph.node.insert(0, node("Tanh", ["b"], ["computed"]))
    return model


def with_a_convolution_of_another_domain() -> ModelProto:
    model = with_norm(CONV, WEIGHT, 6, ["n", 3, 8, 8])
    model.graph.node[0].domain = "com.example"
    model.opset_import.add(domain="com.example", version=1)
    return model


def beyond_float16() -> ModelProto:
    model = conv_net(dtype="float16")
    for tensor in model.graph.initializer:
        if tensor.name == "var":
            tensor.CopyFrom(numpy_helper.from_array(np.zeros(6, np.float16), "var"))
        if tensor.name == "w1":
            huge = 30000 * random(6, 3, 3, 3, dtype="float16").clip(-1, 1)
            tensor.CopyFrom(numpy_helper.from_array(huge, "w1"))
    return model


@pytest.mark.parametrize(
    "make",
    [
        beyond_float16,
        read_twice,
        an_output_itself,
        after_something_else,
        with_a_computed_scale,
        with_a_computed_weight,
        with_a_bias_per_sample,
        with_a_computed_bias,
        with_a_convolution_of_another_domain,
    ],
)
def test_a_node_that_cannot_be_folded_stays(make: object) -> None:
    model = load(make())  # type: ignore[operator]
    folded, names = fold_batch_norm(model)
    assert names == []
    assert folded == model


@pytest.mark.parametrize("outputs", [["y", "m"], ["y", "", "v"]], ids=str)
def test_a_node_with_outputs_of_training_stays(outputs: list[str]) -> None:
    model = load(with_norm(CONV, WEIGHT, 6, ["n", 3, 8, 8]))
    model.graph.node[1].output[:] = outputs
    assert fold_batch_norm(model)[1] == []


def test_a_node_in_training_stays() -> None:
    model = load(with_norm(CONV, WEIGHT, 6, ["n", 3, 8, 8]))
    model.graph.node[1].attribute.add().CopyFrom(helper.make_attribute("training_mode", 1))
    assert fold_batch_norm(model)[1] == []


def test_outputs_without_a_name_do_not_count() -> None:
    model = load(with_norm(CONV, WEIGHT, 6, ["n", 3, 8, 8]))
    model.graph.node[1].output[:] = ["y", ""]
    assert fold_batch_norm(model)[1] == ["norm"]


def test_norms_in_a_row_and_after_other_nodes_are_folded() -> None:
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("Conv", ["r", "w"], ["a"]),
        node("BatchNormalization", ["a", *NORM], ["b"], "first"),
        node("BatchNormalization", ["b", *NORM], ["c"], "second"),
        node("Conv", ["c", "v"], ["d"]),
        node("BatchNormalization", ["d", *NORM], ["y"], "third"),
    ]
    weights = {"w": random(6, 3, 3, 3), "v": random(6, 6, 1, 1), **norm_weights(6)}
    model = load(model_of(nodes, {"x": ["n", 3, 8, 8]}, {"y": None}, weights))
    folded, names = fold_batch_norm(model)
    assert names == ["first", "second", "third"]
    assert [n.op_type for n in folded.graph.node] == ["Relu", "Conv", "Conv"]
    check_same_outputs(model, folded, random(2, 3, 8, 8))


def test_initializers_that_a_body_or_an_output_reads_stay() -> None:
    def branch(name: str) -> GraphProto:
        value = helper.make_tensor_value_info(name, 1, [6])
        return helper.make_graph([node("Neg", ["mean"], [name])], name, [], [value])

    choice = node("If", ["flag"], ["z"], then_branch=branch("t"), else_branch=branch("e"))
    model = with_norm(CONV, WEIGHT, 6, ["n", 3, 8, 8], extra=[choice])
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "flag"))
    for name in ("z", "var"):
        model.graph.output.append(helper.make_tensor_value_info(name, 1, [6]))
    folded, names = fold_batch_norm(load(model))
    assert names == ["norm"]
    kept = {tensor.name for tensor in folded.graph.initializer}
    assert kept == {"w", "y_bias", "mean", "var", "flag"}


def test_sizes_that_do_not_agree_are_left_to_the_session() -> None:
    model = load(conv_net())
    norm = next(node for node in model.graph.node if node.op_type == "BatchNormalization")
    wrong = numpy_helper.from_array(random(5), "wrong")
    model.graph.initializer.append(wrong)
    norm.input[2] = "wrong"
    assert fold_batch_norm(model)[1] == []

"""Opening a float model, and folding BatchNormalization where that is exact."""

from dataclasses import replace

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random
from onnx import ModelProto, numpy_helper

from onnx_evoq.data import Data
from onnx_evoq.errors import ModelError, OptionError
from onnx_evoq.mixed_precision.search_space.policy import expanded
from onnx_evoq.model import Model, replace_weights
from onnx_evoq.setup import Resources, open_float_model, prepare_calibration, undo_inexact_folding
from onnx_evoq.setup import float_model as module
from onnx_evoq.setup.float_model import FloatModel, computes_the_same


def after_the_check(float_model: FloatModel, x: np.ndarray) -> FloatModel:
    rng = np.random.default_rng(0)
    calibration = prepare_calibration(float_model.reference, "m.onnx", Data(x), "auto", 0.25, rng)
    return undo_inexact_folding(float_model, calibration, Resources(workers=1))


def test_batch_normalization_is_folded() -> None:
    float_model = after_the_check(open_float_model(conv_net(), []), random(8, 3, 8, 8))
    assert not any(n.op_type == "BatchNormalization" for n in float_model.model.graph.node)
    assert float_model.notes == ()


@pytest.mark.parametrize("factor", [1.1, np.nan])
def test_where_folding_changed_the_outputs_the_model_stays(factor: float) -> None:
    float_model = open_float_model(conv_net(), ["head"])
    wrong = replace_weights(float_model.model, {"w2": np.float32(factor) * random(6, 6, 3, 3)})
    kept = after_the_check(replace(float_model, model=wrong), random(8, 3, 8, 8))
    assert kept.model == float_model.reference
    assert [weight.name for weight in kept.weights] == ["w1", "w2"]
    assert "was not folded" in kept.notes[0]


def test_a_model_without_weights_is_refused() -> None:
    model = model_of([node("Relu", ["x"], ["y"])], {"x": ["n", 4]}, {"y": ["n", 4]}, {})
    with pytest.raises(ModelError, match=r"has no weights to quantize.*it has no initializers"):
        open_float_model(model, [])
    model = model_of(
        [node("Mul", ["x", "w"], ["y"])], {"x": ["n", 4]}, {"y": ["n", 4]}, {"w": random(4)}
    )
    with pytest.raises(ModelError, match=r"its largest initializer is 'w' \("):
        open_float_model(model, [])


def test_a_pattern_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(OptionError, match="keep 'tail' matches no weight"):
        open_float_model(conv_net(), ["tail"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_refused_unless_it_is_kept(bad: float) -> None:
    values = random(4, 6)
    values[1, 2] = bad
    model = replace_weights(mlp(), {"first": values})
    with pytest.raises(ModelError, match="weight 'first' holds NaN or infinity: train or export"):
        open_float_model(model, [])
    assert [weight.name for weight in open_float_model(model, ["first"]).weights] == ["second"]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_split_channels_compute_the_same_and_other_weights_do_not(dtype: str) -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("MatMul", ["a", "v"], ["y"])]
    weights = {"w": random(4, 6, dtype=dtype), "v": random(6, 3, seed=1, dtype=dtype)}
    model = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, weights, dtype=dtype)
    float_model = open_float_model(model, [])
    x = random(16, 4, seed=2, dtype=dtype)
    calibration = prepare_calibration(
        model, "m.onnx", Data(x), "auto", 0.25, np.random.default_rng(0)
    )
    assert computes_the_same(
        expanded(float_model.model, {"w": 0.5}), float_model, calibration, Resources(workers=1)
    )
    other = replace_weights(float_model.model, {"w": 1.1 * weights["w"].astype(np.float32)})
    assert not computes_the_same(other, float_model, calibration, Resources(workers=1))


@pytest.mark.parametrize(
    ("dtypes", "difference", "same"),
    [
        (["float32", "float32"], 1e-3, True),
        (["float32", "float32"], 1.1e-3, False),
        (["float32", "float16"], 2e-2, True),
        (["float16", "float32"], 2.1e-2, False),
    ],
)
def test_the_coarsest_type_of_the_weights_gives_the_tolerance(
    monkeypatch: pytest.MonkeyPatch, dtypes: list[str], difference: float, same: bool
) -> None:
    monkeypatch.setattr(module, "largest_difference", lambda ours, theirs: difference)
    opened = open_float_model(mlp(), [])
    calibration = prepare_calibration(
        opened.reference, "m.onnx", Data(random(8, 4)), "auto", 0.25, np.random.default_rng(0)
    )
    weights = [replace(w, dtype=t) for w, t in zip(opened.weights, dtypes, strict=True)]
    float_model = replace(opened, weights=weights)
    assert computes_the_same(opened.model, float_model, calibration, Resources(workers=1)) == same


def test_an_older_operator_set_is_refused_where_it_changes_the_outputs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(model: Model, name: str) -> tuple[Model, list[str]]:
        return replace_weights(model, {"first": random(4, 6, seed=9)}), []

    monkeypatch.setattr(module, "with_integer_weights", wrong)
    x = random(8, 4)
    with pytest.raises(ModelError, match="in an older one the outputs change"):
        after_the_check(open_float_model(mlp(), []), x)
    free = after_the_check(open_float_model(mlp(), [], form="float"), x)
    assert free.model == free.reference


def half_quantized(**weights: np.ndarray) -> ModelProto:
    """x (n, 4) -> MatMul with codes -> MatMul with floats -> y (n, 3)."""
    nodes = [
        node("DequantizeLinear", ["first_quantized", "step"], ["first"]),
        node("MatMul", ["x", "first"], ["a"]),
        node("MatMul", ["a", "second"], ["y"]),
    ]
    codes = np.arange(-12, 12, dtype=np.int8).reshape(4, 6)
    held = {"first_quantized": codes, "step": np.float32(0.25), "second": random(6, 3), **weights}
    return model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, held)


def names_of(float_model: FloatModel) -> list[str]:
    return [weight.name for weight in float_model.weights]


def test_weights_that_are_quantized_already_stay_as_they_are() -> None:
    float_model = open_float_model(half_quantized(), [])
    assert names_of(float_model) == ["second"]
    assert float_model.model is float_model.reference


def test_weights_are_quantized_anew_on_request() -> None:
    float_model = open_float_model(half_quantized(), [], requantize=True)
    assert names_of(float_model) == ["first", "second"]
    assert len(float_model.model.graph.node) == 2
    assert after_the_check(float_model, random(8, 4)).notes == ()


def test_a_weight_that_is_kept_is_not_written_as_floats() -> None:
    float_model = open_float_model(half_quantized(), ["first"], requantize=True)
    assert names_of(float_model) == ["second"]
    assert [n.op_type for n in float_model.model.graph.node][:2] == ["DequantizeLinear", "MatMul"]


def test_a_kept_weight_of_half_precision_stays_in_it() -> None:
    nodes = [node("Cast", ["w"], ["k"], to=1), node("MatMul", ["x", "k"], ["a"])]
    nodes.append(node("MatMul", ["a", "v"], ["y"]))
    weights = {"w": random(4, 4, dtype="float16"), "v": random(4, 3)}
    model = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, weights)
    assert names_of(open_float_model(model, [])) == ["w", "v"]
    kept = open_float_model(model, ["w"])
    assert names_of(kept) == ["v"]
    assert len(kept.model.graph.node) == 3


def test_a_model_without_any_float_weight_says_how_it_is_quantized_anew() -> None:
    nodes = half_quantized().graph.node[:2]
    nodes[1].output[0] = "y"
    held = {"first_quantized": np.ones((4, 3), np.int8), "step": np.float32(0.5)}
    model = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, held)
    with pytest.raises(ModelError, match=r"holds DequantizeLinear nodes.*anew \(--requantize\)"):
        open_float_model(model, [])
    assert names_of(open_float_model(model, [], requantize=True)) == ["first"]


def test_operators_on_codes_cannot_be_quantized_anew() -> None:
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("MatMulInteger", ["q", "codes", "z"], ["y"]),
    ]
    model = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, {"codes": np.ones((4, 3), np.int8)})
    model.graph.output[0].type.tensor_type.elem_type = 6
    with pytest.raises(ModelError, match=r"give the float model that it was made from\.$"):
        open_float_model(model, [])


def test_where_folded_constants_changed_the_outputs_they_are_computed_as_before() -> None:
    nodes = [node("Identity", ["w"], ["k"]), node("MatMul", ["x", "k"], ["y"])]
    model = model_of(nodes, {"x": ["n", 4]}, {"y": ["n", 3]}, {"w": random(4, 3)})
    float_model = open_float_model(model, [])
    assert after_the_check(float_model, random(8, 4)).model is float_model.model
    wrong = replace_weights(float_model.model, {"w": random(4, 3, seed=1)})
    kept = after_the_check(replace(float_model, model=wrong), random(8, 4))
    assert kept.model == float_model.reference
    assert "depends on constants alone was not folded" in kept.notes[0]


def test_weights_that_are_computed_in_half_precision_may_differ_more() -> None:
    nodes = [
        node("Mul", ["v", "g"], ["h"]),
        node("Cast", ["h"], ["w"], to=1),
        node("MatMul", ["x", "w"], ["y"]),
    ]
    weights = {name: random(64, 32, dtype="float16", seed=i) for i, name in enumerate("vg")}
    float_model = open_float_model(model_of(nodes, {"x": ["n", 64]}, {"y": ["n", 32]}, weights), [])
    (weight,) = float_model.weights
    nearly = replace_weights(float_model.model, {weight.name: weight.values * np.float32(1.005)})
    checked = after_the_check(replace(float_model, model=nearly), random(8, 64))
    assert checked.model is nearly


def test_parameters_of_batch_normalization_may_be_computed() -> None:
    model = conv_net()
    for tensor, kind in zip(
        model.graph.initializer[1:5], ("Identity", "Neg", "Cast", "Abs"), strict=True
    ):
        values = numpy_helper.to_array(tensor)
        values = {"Neg": -values, "Cast": values.astype(np.float64)}.get(kind, values)
        tensor.CopyFrom(numpy_helper.from_array(values, f"{tensor.name}_held"))
        extra = {"to": 1} if kind == "Cast" else {}
        name = tensor.name.removesuffix("_held")
        model.graph.node.insert(0, node(kind, [tensor.name], [name], **extra))
    float_model = after_the_check(open_float_model(model, []), random(8, 3, 8, 8))
    assert float_model.folded == ("norm",)
    assert float_model.notes == ()

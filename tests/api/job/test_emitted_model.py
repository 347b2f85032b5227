"""The emitted model and its scores, with float and with integer activations."""

from typing import Any

import numpy as np
import pytest
from graphs import conv_net, model_of, node, random, recurrent, run
from qonnx_runs import quants, run_qonnx

import onnx_evoq
from onnx_evoq import Grid, OptionError, Result
from onnx_evoq.model import types_of_activations

X = random(48, 3, 8, 8, seed=3)


def optimized(activations: int | None, strategy: Any = "none", **grid: Any) -> Result:
    return onnx_evoq.optimize(
        conv_net(), X, bits=4, grid=Grid(activations=activations, **grid), strategy=strategy,
        time_budget=None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def integers() -> Result:
    return optimized(8)


def test_all_operators_work_on_integers(integers: Result) -> None:
    assert types_of_activations(integers.model)
    assert integers.float_ops == {}
    assert integers.integer_ops["Conv"] == 2
    assert {each.tensor for each in integers.activations} >= {"x", "c", "g"}


def test_scores_are_those_of_the_kernels_for_integers(integers: Result) -> None:
    assert integers.session_options == {}
    x = random(32, 3, 8, 8, seed=9)
    floats, found = (run(model, {"x": x})["logits"] for model in (conv_net(), integers.model))
    error = float(np.square(found - floats).mean())
    evaluated = onnx_evoq.evaluate(integers.model, x, reference=conv_net(), metric="mse")
    assert evaluated.value == pytest.approx(error, rel=1e-3)
    assert integers.scores["evolved"].heldout < 0.3 * integers.scores["nearest"].heldout


def test_the_weights_make_up_for_the_activations(integers: Result) -> None:
    coarse, usual = optimized(4), integers
    assert usual.scores["evolved"].heldout < coarse.scores["evolved"].heldout
    assert coarse.scores["evolved"].heldout < coarse.scores["nearest"].heldout


def test_a_search_has_no_more_error_where_it_searched(integers: Result) -> None:
    searched = optimized(8, onnx_evoq.Strategy(generations=1))
    assert searched.evaluations > 0
    before, after = integers.scores["evolved"], searched.scores["evolved"]
    assert after.search / before.search + after.heldout / before.heldout <= 2
    assert len(searched.activations) == len(integers.activations)


def test_the_same_seed_gives_the_same_bytes(integers: Result) -> None:
    assert optimized(8).model.SerializeToString() == integers.model.SerializeToString()


def test_nearest_rounding_has_integer_activations_too() -> None:
    start = onnx_evoq.Strategy("none", init="nearest")
    found = onnx_evoq.optimize(
        conv_net(), X, bits=8, grid=Grid(activations=4), strategy=start, time_budget=None
    )
    assert types_of_activations(found.model)
    scores = [found.scores[name].heldout for name in ("nearest", "evolved")]
    assert scores[1] <= 1.05 * scores[0]
    without = optimized(None).scores["nearest"].heldout
    assert found.scores["nearest"].heldout != pytest.approx(without)


def test_weights_that_no_integer_operator_reads_are_integers_too() -> None:
    rows = np.random.default_rng(0).integers(7, size=(24, 5))
    found = onnx_evoq.optimize(
        recurrent(), rows, bits=8, grid=Grid(activations=8), strategy="none", time_budget=None
    )
    types = {tensor.name: tensor.data_type for tensor in found.model.graph.initializer}
    assert {"w_quantized", "r_quantized", "last_quantized"} <= types.keys()
    assert "GRU" in found.float_ops


def test_the_plain_values_name_each_grid(integers: Result) -> None:
    values = integers.to_dict()
    row = next(row for row in values["activations"] if row["tensor"] == "c")
    assert row["bits"] == 8
    assert row["signed"] is False
    assert row["low"] == 0
    assert values["integer_ops"] == integers.integer_ops
    assert optimized(None).to_dict()["activations"] == []


def test_a_file_in_qonnx_computes_what_was_scored() -> None:
    options = {"bits": 4, "grid": Grid(activations=6), "strategy": "none", "time_budget": None}
    scored = onnx_evoq.optimize(conv_net(), X, storage="int8", **options)  # type: ignore[arg-type]
    found = onnx_evoq.optimize(conv_net(), X, format="qonnx", **options)  # type: ignore[arg-type]
    assert found.scores == scored.scores
    assert found.integer_ops == scored.integer_ops
    assert (found.target, found.float_ops, found.session_options) == ("qonnx", {}, {})
    assert {"w1", "w2", "w3"} <= {
        n.input[0].removesuffix("_values") for n in quants(found.model).values()
    }
    assert [p.key for p in found.model.metadata_props] == [
        p.key for p in scored.model.metadata_props
    ]
    for x in X[:4, None]:
        (outputs,) = run_qonnx(found.model, {"x": x})
        assert outputs == pytest.approx(run(scored.model, {"x": x})["logits"], abs=1e-6)


@pytest.mark.parametrize("options", [{"format": "qonnx"}, {"target": "qonnx"}])
def test_a_file_in_qonnx_is_for_one_sample(options: dict[str, Any]) -> None:
    found = onnx_evoq.optimize(conv_net(), X, bits=4, strategy="none", time_budget=None, **options)
    ends = [*found.model.graph.input, *found.model.graph.output]
    assert [each.type.tensor_type.shape.dim[0].dim_value for each in ends] == [1, 1]
    assert len(quants(found.model)) == 3
    assert not any("ONNX Runtime" in note for note in found.notes)


def test_qonnx_holds_no_narrow_types() -> None:
    with pytest.raises(OptionError, match="target qonnx does not take storage int4: choose int8"):
        onnx_evoq.optimize(conv_net(), X, bits=4, format="qonnx", storage="int4")


def test_integer_activations_need_the_qdq_format() -> None:
    with pytest.raises(OptionError, match="integer activations need the qdq format"):
        onnx_evoq.optimize(conv_net(), X, bits=4, grid=Grid(activations=8), format="float")


def test_integer_activations_need_weights_of_8_bits() -> None:
    with pytest.raises(OptionError, match="storage int4 is not for integer activations"):
        onnx_evoq.optimize(conv_net(), X, bits=4, grid=Grid(activations=8), storage="int4")


@pytest.mark.parametrize("bits", [1, 17])
def test_other_widths_are_refused(bits: int) -> None:
    with pytest.raises(OptionError, match="choose from 2 to 16 bits"):
        Grid(activations=bits)


def test_too_few_samples_for_the_weights_are_noticed() -> None:
    nodes, weights = [node("Gemm", ["x", "w"], ["y"])], {"w": random(400, 2, seed=1)}
    model = model_of(nodes, {"x": ["n", 400]}, {"y": ["n", 2]}, weights)
    few, more = (
        onnx_evoq.optimize(model, random(count, 400), bits=4, strategy="none", time_budget=None)
        for count in (16, 256)
    )
    assert any("times that of the samples that weights were fitted to" in n for n in few.notes)
    assert not any("were fitted to" in note for note in more.notes)

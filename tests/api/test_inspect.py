"""List a model's weights."""

from typing import Any

from calls import optimize
from graphs import conv_net, mlp, random

import onnx_evoq
from onnx_evoq import Result

QUICK: dict[str, Any] = {"population": 4, "generations": 3, "mutation_rate": 0.05}
X = random(40, 3, 8, 8, seed=3)


def optimized(model: Any = None, data: Any = X, **options: Any) -> Result:
    return optimize(model or conv_net(), data, **{**QUICK, "bits": 4, **options})


def test_inspect_lists_weights_of_the_folded_model() -> None:
    inspection = onnx_evoq.inspect(conv_net())
    assert inspection.folded == ("norm",)
    assert [weight.name for weight in inspection.weights] == ["w1", "w2", "w3"]
    weight = inspection.weights[2]
    assert (weight.shape, weight.axis, weight.op_type) == ((6, 5), 1, "Gemm")
    assert weight.bytes == {bits: -(-30 * bits // 8) for bits in range(2, 9)}


def test_inspect_says_what_keeps_channels_from_being_split() -> None:
    reasons = {weight.name: weight.no_expansion for weight in onnx_evoq.inspect(mlp()).weights}
    assert reasons == {
        "first": None,
        "second": "its output is an output of the model (logits)",
    }
    assert "sum" in str(onnx_evoq.inspect(conv_net()).weights[0].no_expansion)  # once folded

"""The model that is worked on."""

from dataclasses import replace

import numpy as np
import pytest
from graphs import conv_net, mlp, model_of, node, random

from onnx_evoq.data import Data
from onnx_evoq.errors import ModelError, OptionError
from onnx_evoq.model import replace_weights
from onnx_evoq.stages import fold_if_exact, open_subject, prepare
from onnx_evoq.stages.subject import Subject


def settled(subject: Subject, x: np.ndarray) -> Subject:
    rng = np.random.default_rng(0)
    experiment = prepare(subject.reference, "m.onnx", Data(x), "auto", 0.25, rng)
    return fold_if_exact(subject, experiment, None)


def test_batch_normalization_is_folded() -> None:
    subject = settled(open_subject(conv_net(), []), random(8, 3, 8, 8))
    assert not any(n.op_type == "BatchNormalization" for n in subject.model.graph.node)
    assert subject.notes == ()


@pytest.mark.parametrize("factor", [1.1, np.nan])
def test_where_folding_changed_the_outputs_the_model_stays(factor: float) -> None:
    subject = open_subject(conv_net(), ["head"])
    wrong = replace_weights(subject.model, {"w2": np.float32(factor) * random(6, 6, 3, 3)})
    kept = settled(replace(subject, model=wrong), random(8, 3, 8, 8))
    assert kept.model == subject.reference
    assert [weight.name for weight in kept.weights] == ["w1", "w2"]
    assert "was not folded" in kept.notes[0]


def test_a_model_without_weights_is_refused() -> None:
    model = model_of([node("Relu", ["x"], ["y"])], {"x": ["n", 4]}, {"y": ["n", 4]}, {})
    with pytest.raises(ModelError, match="has no weights to quantize"):
        open_subject(model, [])


def test_a_pattern_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(OptionError, match="keep 'tail' matches no weight"):
        open_subject(conv_net(), ["tail"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_refused_unless_it_is_kept(bad: float) -> None:
    values = random(4, 6)
    values[1, 2] = bad
    model = replace_weights(mlp(), {"first": values})
    with pytest.raises(ModelError, match="weight 'first' holds NaN or infinity: train or export"):
        open_subject(model, [])
    assert [weight.name for weight in open_subject(model, ["first"]).weights] == ["second"]

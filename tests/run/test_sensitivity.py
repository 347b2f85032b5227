"""The ranking against brute force."""

import numpy as np
import pytest
from graphs import conv_net, random

from onnx_evoq.batch import make_batches
from onnx_evoq.model import (
    find_weights,
    fold_batch_norm,
    input_specs,
    load,
    replace_weights,
    serialize,
)
from onnx_evoq.quantize import dequantize, fit, nearest
from onnx_evoq.run import ScoringSet, model_value, rank_weights
from onnx_evoq.score import Session, Target, find_metric, predict


@pytest.mark.parametrize("metric", ["mse", "cosine"])
def test_each_weight_is_scored_with_it_alone_quantized(metric: str) -> None:
    model, _ = fold_batch_norm(load(conv_net()))
    weights, _ = find_weights(model)
    batches = make_batches({"x": random(6, 3, 8, 8)}, input_specs(model), 4)
    reference = list(predict(Session(serialize(model)), batches))
    scoring = ScoringSet(batches, Target(find_metric(metric), reference, None))
    grids = {weight.name: fit(weight.values, 3) for weight in weights}

    expected = {}
    for weight in weights:
        values = dequantize(nearest(weight.values, grids[weight.name]), grids[weight.name])
        expected[weight.name] = model_value(replace_weights(model, {weight.name: values}), scoring)

    ranking = rank_weights(model, weights, grids, scoring)
    assert ranking == pytest.approx(expected, rel=1e-5)
    better = np.array(list(ranking.values())) * (-1 if metric == "cosine" else 1)
    assert (np.diff(better) >= 0).all()  # the least sensitive first

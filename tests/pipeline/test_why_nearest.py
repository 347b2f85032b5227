"""Why weights start from nearest rounding."""

from dataclasses import replace

import numpy as np
from graphs import recurrent, task_of

from onnx_evoq.model import load
from onnx_evoq.pipeline.why_nearest import asked_for, why_nearest
from onnx_evoq.reconstruct import reconstruct_layers


def test_each_weight_without_a_closed_form_has_a_reason() -> None:
    x = np.random.default_rng(0).integers(0, 7, (12, 5))
    task = task_of(load(recurrent()), x, x)
    start = reconstruct_layers(task, np.random.default_rng(0))
    assert why_nearest(task, start, better=False)["table"] == "rows that are looked up"
    assert "last" not in why_nearest(task, start, better=False)
    hidden = replace(start, nearest=("last",), unreached=("last",))
    assert why_nearest(task, hidden, better=False) == {"last": "in a branch that no sample takes"}
    other = replace(start, nearest=("last",), unreached=())
    assert why_nearest(task, other, better=False) == {"last": "MatMul without a closed form here"}
    late = replace(start, nearest=(), late=frozenset(["last"]))
    assert why_nearest(task, late, better=False) == {"last": "for lack of time"}
    assert why_nearest(task, other, better=True) == {"last": "nearest rounding was better"}


def test_where_it_was_asked_for_all_weights_say_so() -> None:
    x = np.zeros((4, 5), np.int64)
    task = task_of(load(recurrent()), x, x)
    assert set(asked_for(task)) == {weight.name for weight in task.weights}

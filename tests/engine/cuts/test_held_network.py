"""Networks that are held value by value."""

from pathlib import Path
from typing import Any

import numpy as np
from external_models import saved
from far_workers import FarWorkers
from graphs import mlp, random, rounded, run

from onnx_evoq.engine.cuts import hold_network
from onnx_evoq.executors import Task
from onnx_evoq.model import Network, as_network, load, with_codes

MODEL = load(mlp())


def there(memory: Any, held: Any) -> Network:
    network: Network = held.network(memory)
    return network


def on_worker(far: FarWorkers, network: Network) -> Network:
    (found,) = far.map(there, [Task(hold_network(far, network), home="here")])
    assert isinstance(found, Network)
    return found


def test_a_network_computes_the_same_elsewhere(far: FarWorkers) -> None:
    network = with_codes(MODEL, rounded(MODEL, 4)).with_values({"first_bias": random(6)})
    x = {"x": random(3, 4)}
    for name, values in run(network, x).items():
        np.testing.assert_array_equal(run(on_worker(far, network), x)[name], values)


def test_a_value_that_did_not_change_is_not_sent_again(far: FarWorkers) -> None:
    codes = rounded(MODEL, 4)
    on_worker(far, with_codes(MODEL, codes))
    far.sent.clear()
    on_worker(far, with_codes(MODEL, {**codes, "first": rounded(MODEL, 2)["first"]}))
    assert len(far.sent) == 1


def test_values_in_data_files_are_sent(far: FarWorkers, tmp_path: Path) -> None:
    path = saved(mlp(), tmp_path / "model.onnx")
    network, x = as_network(load(path)), {"x": random(3, 4)}
    expected = run(network, x)
    found = on_worker(far, network)
    for file in tmp_path.iterdir():
        file.unlink()
    for name, values in expected.items():
        np.testing.assert_array_equal(run(found, x)[name], values)

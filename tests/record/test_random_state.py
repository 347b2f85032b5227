"""The state of random generators."""

import json

import numpy as np
import pytest

from onnx_evoq.record import set_state, state_of


@pytest.mark.parametrize("spawned", [0, 3])
def test_a_generator_goes_on_as_it_would_have(spawned: int) -> None:
    rng, again = (np.random.default_rng(7) for _ in range(2))
    rng.spawn(spawned)
    rng.integers(9, size=5, dtype=np.uint32)
    set_state(again, json.loads(json.dumps(state_of(rng))))
    assert rng.integers(2**31, size=5).tolist() == again.integers(2**31, size=5).tolist()
    assert rng.spawn(1)[0].random() == again.spawn(1)[0].random()


def test_so_does_a_generator_that_was_spawned() -> None:
    rng, again = (np.random.default_rng(7).spawn(2)[1] for _ in range(2))
    rng.random(3)
    set_state(again, state_of(rng))
    assert rng.random() == again.random()

"""The state of a random generator as JSON has it."""

from typing import Any

import numpy as np

_SPAWNED = "spawned"


def state_of(rng: np.random.Generator) -> dict[str, Any]:
    """The state of a generator, and how many others were spawned from it.

    Example:
        >>> rng, again = np.random.default_rng(0), np.random.default_rng(0)
        >>> _ = rng.spawn(2), rng.random()
        >>> set_state(again, state_of(rng))
        >>> again.random() == rng.random(), again.spawn(1)[0].random() == rng.spawn(1)[0].random()
        (True, True)
    """
    return {**rng.bit_generator.state, _SPAWNED: _seeds(rng).n_children_spawned}


def set_state(rng: np.random.Generator, state: dict[str, Any]) -> None:
    """Bring a generator of the same seed to a state that `state_of` gave.

    Args:
        rng: the generator, from which no more others were spawned.
        state: of a generator of the same seed.
    """
    rng.bit_generator.state = {key: value for key, value in state.items() if key != _SPAWNED}
    seeds = _seeds(rng)
    seeds.spawn(state[_SPAWNED] - seeds.n_children_spawned)


def _seeds(rng: np.random.Generator) -> np.random.SeedSequence:
    seeds = rng.bit_generator.seed_seq
    assert isinstance(seeds, np.random.SeedSequence)  # as all generators here are made from seeds
    return seeds

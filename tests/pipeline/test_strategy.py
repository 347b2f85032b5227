"""The strategy that a user chooses."""

from typing import Any

import pytest

from onnx_evoq.errors import OptionError
from onnx_evoq.evolve import (
    FROM_NEAREST,
    FROM_RECONSTRUCTION,
    TOGETHER_FROM_NEAREST,
    TOGETHER_FROM_RECONSTRUCTION,
    SearchSettings,
)
from onnx_evoq.pipeline import DEFAULT_STRATEGY, Strategy


@pytest.mark.parametrize(
    ("name", "init", "settings"),
    [
        ("neuroevolution", "reconstruct", FROM_RECONSTRUCTION),
        ("neuroevolution", "nearest", FROM_NEAREST),
        ("coevolution", "reconstruct", TOGETHER_FROM_RECONSTRUCTION),
        ("coevolution", "nearest", TOGETHER_FROM_NEAREST),
    ],
)
def test_each_strategy_and_start_has_settings(
    name: Any, init: Any, settings: SearchSettings
) -> None:
    assert Strategy(name, init).settings == settings
    assert Strategy(name, init).searches


def test_numbers_that_are_given_replace_those_of_the_settings() -> None:
    settings = Strategy(population=5, generations=0, mutation_rate=0.5).settings
    assert settings is not None
    assert (settings.population, settings.generations, settings.mutation_rate) == (5, 0, 0.5)
    assert settings.passes == FROM_RECONSTRUCTION.passes


def test_without_a_search_there_are_no_settings() -> None:
    assert Strategy("none").settings is None
    assert not Strategy("none").searches


def test_the_default_evolves_layer_by_layer_from_a_reconstruction() -> None:
    assert Strategy("neuroevolution", "reconstruct") == DEFAULT_STRATEGY


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": "luck"}, "strategy 'luck' is unknown: choose neuroevolution or coevolution or"),
        ({"init": "zero"}, "init 'zero' is unknown: choose reconstruct or nearest"),
        ({"population": 0}, "population 0 is empty"),
        ({"name": "none", "generations": -1}, "generations -1 is negative"),
        ({"name": "coevolution", "population": 1}, "population 1 has nothing to compare"),
    ],
)
def test_choices_that_make_no_sense_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(OptionError, match=text):
        Strategy(**options)


@pytest.mark.parametrize("name", ["population", "generations"])
def test_counts_are_whole_numbers(name: str) -> None:
    with pytest.raises(OptionError, match=f"{name} 2.5 is no whole number"):
        Strategy(**{name: 2.5})

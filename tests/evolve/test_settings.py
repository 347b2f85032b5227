"""How to evolve: numbers that make sense."""

from typing import Any

import pytest

from onnx_evoq.errors import OptionError
from onnx_evoq.evolve.settings import (
    FROM_NEAREST,
    FROM_RECONSTRUCTION,
    TOGETHER_FROM_NEAREST,
    TOGETHER_FROM_RECONSTRUCTION,
    SearchSettings,
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population": 0}, "population 0 is empty"),
        ({"generations": -1}, "generations -1 is negative"),
        ({"mutation_rate": 0.0}, r"mutation_rate 0\.0 is no probability"),
        ({"mutation_rate": 1.5}, r"mutation_rate 1\.5 is no probability"),
        ({"doubt": -0.5}, r"doubt -0\.5 is negative"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        SearchSettings(**options)


@pytest.mark.parametrize(
    ("mutation_rate", "codes", "expected"),
    [(0.02, 1000, 0.02), (None, 300, 0.01), (None, 2, 1.0)],
)
def test_without_a_rate_three_codes_move_on_average(
    mutation_rate: float | None, codes: int, expected: float
) -> None:
    assert SearchSettings(mutation_rate=mutation_rate).rate_for(codes) == expected


def test_coevolution_has_two_candidates_or_more() -> None:
    with pytest.raises(OptionError, match="population 1 has nothing to compare"):
        SearchSettings(population=1, together=True)


@pytest.mark.parametrize(
    "options",
    [
        {"population": 1}, {"population": 2, "together": True}, {"generations": 0},
        {"mutation_rate": 1.0}, {"doubt": 0.0},
    ],
)  # fmt: skip
def test_the_limits_themselves_are_allowed(options: dict[str, Any]) -> None:
    settings = SearchSettings(**options)
    assert all(getattr(settings, name) == value for name, value in options.items())


def test_the_settings_of_each_strategy() -> None:
    def shown(settings: SearchSettings) -> tuple[object, ...]:
        return (
            settings.population, settings.generations, settings.mutation_rate, settings.together,
            settings.passes, settings.patience,
        )  # fmt: skip

    assert shown(FROM_NEAREST) == (32, 64, 0.02, False, 1, None)
    assert shown(FROM_RECONSTRUCTION) == (4, 64, None, False, 8, 16)
    assert shown(TOGETHER_FROM_NEAREST) == (32, 1024, 0.05, True, 1, None)
    assert shown(TOGETHER_FROM_RECONSTRUCTION) == (32, 1024, 0.002, True, 1, None)

"""Options of the command line become arguments of the Python functions."""

from typing import Any

import pytest

from onnx_evoq import Data, Grid, Resources, SearchSpace, Strategy, bars
from onnx_evoq.cli.arguments import arguments_of
from onnx_evoq.progress import silent


def arguments(quiet: bool = True, **options: Any) -> dict[str, Any]:
    return arguments_of({"data": None, "providers": None, **options}, quiet)


def test_options_without_a_group_stay_what_they_are() -> None:
    given = arguments(bits=4, seed=7)
    assert (given["bits"], given["seed"]) == (4, 7)


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ({"data": "d.npz", "samples": 9, "mean": (1.0, 2.0)}, "data",
         Data("d.npz", samples=9, mean=(1.0, 2.0))),
        ({"granularity": "channel", "scale": "float", "keep": ("a",)}, "grid",
         Grid("channel", "float", ("a",))),
        ({"per_channel": True, "expansion": False, "size": "file"}, "space",
         SearchSpace(True, False, "file")),
        ({"strategy": "coevolution", "init": "nearest", "population": 5, "generations": 6,
          "mutation_rate": 0.5}, "strategy", Strategy("coevolution", "nearest", 5, 6, 0.5)),
        ({"memory": 5, "workers": 2}, "resources", Resources(None, 5, 2)),
    ],
)  # fmt: skip
def test_options_that_belong_together_become_one_value(
    options: dict[str, Any], name: str, value: Any
) -> None:
    given = arguments(**options)
    assert given[name] == value
    assert not set(options) - {name} & set(given)


def test_a_value_is_left_out_where_the_command_has_none_of_its_options() -> None:
    assert set(arguments()) == {"progress", "data", "resources"}


def test_providers_are_separated_by_commas() -> None:
    assert arguments(providers="cuda, cpu")["resources"].providers == ["cuda", "cpu"]
    assert arguments()["resources"].providers is None


def test_progress_is_shown_unless_quiet() -> None:
    assert arguments(quiet=False)["progress"] is bars
    assert arguments(quiet=True)["progress"] is silent


def test_the_options_of_the_caller_stay_as_they_are() -> None:
    options = {"data": None, "providers": None, "keep": ("a",)}
    arguments_of(options, True)
    assert options == {"data": None, "providers": None, "keep": ("a",)}

"""Searches for widths: short ones, and a result that is made up."""

from dataclasses import replace
from typing import Any

import pytest

from onnx_evoq.mixed_precision import ParetoPoint, Policy, evolution
from onnx_evoq.pipeline import strategy
from onnx_evoq.quantize.closed_form.effort import FEEDBACK
from onnx_evoq.report import Search

LITTLE = replace(FEEDBACK, positions=8_192)  # unlike FEEDBACK, it is not for lack of time
SPLIT = Policy({"a": 3, "b": (2, 5)}, {"a": 0.125}, {"b": "channel"})


def shorten(monkeypatch: pytest.MonkeyPatch, generations: int = 2) -> None:
    """Let searches take a few generations of eight individuals, and points little effort."""
    monkeypatch.setattr(evolution, "_POPULATION", 8)
    monkeypatch.setattr(evolution, "_GENERATIONS", generations)
    monkeypatch.setattr("onnx_evoq.mixed_precision.point._POINT_EFFORT", LITTLE)


def shorten_tuning(monkeypatch: pytest.MonkeyPatch, generations: int = 0) -> None:
    """Let codes evolve for so few generations, where nothing else is asked for."""
    usual = strategy._DEFAULTS["neuroevolution", "reconstruct"]
    short = replace(usual, generations=generations)
    monkeypatch.setitem(strategy._DEFAULTS, ("neuroevolution", "reconstruct"), short)


def point(
    bits: int | Policy, packed: int, error: float, drop: float = 0.0, file: int | None = None
) -> ParetoPoint:
    policy = bits if isinstance(bits, Policy) else Policy({"a": bits, "b": bits})
    in_file = 2 * packed if file is None else file
    return ParetoPoint(policy, packed, in_file, error, 1.5 * error, drop, error)


UNIFORM = tuple(point(b, 1000 * b, 0.5**b, drop=9.0 - b) for b in range(2, 9))
MIXED = point(SPLIT, 2500, 0.15, drop=6.5)
GREEDY = point(Policy({"a": 8, "b": 2}), 4500, 0.05, drop=5.5)


def search_of(**changes: Any) -> Search:
    usual: dict[str, Any] = {
        "source": "model.onnx", "metric": "mse", "size": "packed", "seed": 0,
        "front": (UNIFORM[0], MIXED, *UNIFORM[1:]), "uniform": UNIFORM, "greedy": (GREEDY,),
        "hypervolume": {"front": 0.5, "uniform": 0.4, "greedy": 0.1}, "evaluations": 768,
        "seconds": 12.3456, "stopped": None, "notes": (),
    }  # fmt: skip
    return Search(**{**usual, **changes})

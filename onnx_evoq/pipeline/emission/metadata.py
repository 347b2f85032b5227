"""The metadata of an emitted model: how it was made, and its scores."""

import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from onnx_evoq.model import Quantized
from onnx_evoq.setup import OwnOutputs, Score

_DIGITS = 6  # of a score
_LONGEST = len("-1.23456e-300")
_NUMBER = r"(?<=: )(?:-?[\d.]+(?:e[+-]\d+)?|NaN|-?Infinity)"  # of a mapping in JSON


def metadata_of(
    quantized: Quantized,
    seed: int,
    metric: str,
    scores: Mapping[str, Score],
    own: OwnOutputs | None = None,
) -> dict[str, str]:
    """The metadata of an emitted model: how it was made, and its scores.

    Args:
        quantized: codes and grid by weight.
        seed: the seed of all random draws.
        metric: the name of the metric that the search minimised or maximised.
        scores: the scores of nearest rounding ("nearest") and of the model ("evolved"), by name.
        own: the outputs of the model, if it is scored at other tensors.
    """
    weights = {
        name: {"bits": weight.grid.bits, "frac_bits": weight.grid.frac_bits}
        for name, weight in quantized.items()
    }
    scored = {name: _rounded(score.to_dict()) for name, score in scores.items()}
    text = json.dumps({"metric": metric, **scored})
    entries = {
        "onnx_evoq.version": version("onnx-evoq"),
        "onnx_evoq.seed": str(seed),
        "onnx_evoq.weights": json.dumps(weights),
        # As long with any numbers, so that the size of a file is known before it is scored.
        "onnx_evoq.scores": text.ljust(_length(text)),
    }
    if own is not None:
        entries["onnx_evoq.scored_at"] = json.dumps(own.points)
    return entries


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers, also in mappings, rounded to some digits."""
    return {
        key: _rounded(value) if isinstance(value, Mapping) else float(f"{value:.{_DIGITS}g}")
        for key, value in values.items()
    }


def _length(text: str) -> int:
    """How long a text of JSON would be if each of its numbers were as long as they get."""
    numbers = re.findall(_NUMBER, text)
    return len(text) + sum(_LONGEST - len(number) for number in numbers)

"""The metadata of an emitted model: how it was made, from what, and its scores.

Numbers and hashes are as long with any values, so that the size of a file is known before it is
scored, and before it is hashed.
"""

import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from onnx_evoq.model import Model, Quantized, describe, graph_hash
from onnx_evoq.setup import OwnOutputs, Score

_DIGITS = 6  # of a score
_LONGEST = len("-1.23456e-300")
_NUMBER = r"(?<=: )(?:-?[\d.]+(?:e[+-]\d+)?|NaN|-?Infinity)"  # of a mapping in JSON
_OPTIONS = 512  # characters of the options, at least
NO_HASH = "0" * 64

HASH = "onnx_evoq.hash"


def metadata_of(
    quantized: Quantized,
    seed: int,
    metric: str,
    scores: Mapping[str, Score],
    own: OwnOutputs | None = None,
    options: Mapping[str, Any] | None = None,
    source: str = NO_HASH,
) -> dict[str, str]:
    """The metadata of an emitted model: how it was made, from what, and its scores.

    Args:
        quantized: codes and grid by weight.
        seed: the seed of all random draws.
        metric: the name of the metric that the search minimised or maximised.
        scores: the scores of nearest rounding ("nearest") and of the model ("evolved"), by name.
        own: the outputs of the model, if it is scored at other tensors.
        options: with which it was made, as values for JSON.
        source: the SHA-256 of the float model.
    """
    weights = {}
    for name, (_, grid) in quantized.items():
        weights[name] = {"bits": grid.bits, "frac_bits": grid.frac_bits}
        if grid.axis is not None:
            weights[name]["axis"] = grid.axis
        if grid.frac_bits is None:  # the float format holds these steps nowhere else
            weights[name]["step"] = np.asarray(grid.step, np.float64).tolist()
    scored = {name: _rounded(score.to_dict()) for name, score in scores.items()}
    text = json.dumps({"metric": metric, **scored})
    entries = {
        "onnx_evoq.version": version("onnx-evoq"),
        "onnx_evoq.seed": str(seed),
        "onnx_evoq.options": json.dumps(options or {}).ljust(_OPTIONS),
        "onnx_evoq.source": source,
        "onnx_evoq.weights": json.dumps(weights),
        "onnx_evoq.scores": text.ljust(_length(text)),
        HASH: NO_HASH,
    }
    if own is not None:
        entries["onnx_evoq.scored_at"] = json.dumps(own.points)
    return entries


def seal(model: Model, metadata: Mapping[str, str]) -> None:
    """Add the metadata to a finished model, in place, with the hash of its graph and its values."""
    describe(model, {**metadata, HASH: graph_hash(model)})


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

"""The metadata of an emitted model: how it was made, and its scores."""

import json
from collections.abc import Mapping
from importlib.metadata import version

from onnx_evoq.model import Quantized
from onnx_evoq.setup import OwnOutputs, Score


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
    scored = {name: score.to_dict() for name, score in scores.items()}
    entries = {
        "onnx_evoq.version": version("onnx-evoq"),
        "onnx_evoq.seed": str(seed),
        "onnx_evoq.weights": json.dumps(weights),
        "onnx_evoq.scores": json.dumps({"metric": metric, **scored}),
    }
    if own is not None:
        entries["onnx_evoq.scored_at"] = json.dumps(own.points)
    return entries

"""A policy of mixed precision: the width, the granularity and the split channels of each weight."""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from onnx_evoq.errors import ModelError, OptionError
from onnx_evoq.model import (
    Model,
    outlier_orders,
    splits_from_shares,
    splittable_layers,
    weights_named,
    with_split_channels,
)
from onnx_evoq.quantize import Bits
from onnx_evoq.setup import (
    DEFAULT_RESOURCES,
    MAX_BITS,
    MIN_BITS,
    Calibration,
    FloatModel,
    Granularities,
    Granularity,
    Resources,
    computes_the_same,
)

_FORM = (
    '{"bits": {"WEIGHT": 4, ..}, "granularity": {"WEIGHT": "channel", ..}, '
    '"expansion": {"WEIGHT": 0.125, ..}}'
)
_KEYS = ("bits", "expansion", "granularity")
_OF_POINTS = ("packed_bytes", "file_bytes", "search", "heldout", "drop", "nmse")  # are ignored


@dataclass(frozen=True)
class Policy:
    """Widths, split channels and granularities by weight.

    Attributes:
        bits: the width of each weight, or a tuple with one width per channel along its axis, where
            the copies of split channels come last.
        expansion: share of a layer's output channels that are split in two; 0 for a weight without
            an entry.
        granularity: one step per tensor or per output channel; the run's own for a weight without
            an entry.
    """

    bits: Mapping[str, Bits]
    expansion: Mapping[str, float] = field(default_factory=dict)
    granularity: Mapping[str, Granularity] = field(default_factory=dict)

    def granularities(self, usual: Granularities) -> dict[str, Granularity]:
        """The granularity of each weight, by name.

        A weight with a width per channel has one step per channel.

        Args:
            usual: the granularity of the weights without an entry of their own.
        """
        granularities: dict[str, Granularity] = {}
        for name, bits in self.bits.items():
            own = usual if isinstance(usual, str) else usual[name]
            own = own if isinstance(bits, int) else "channel"
            granularities[name] = self.granularity.get(name, own)
        return granularities

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {
            "bits": {n: b if isinstance(b, int) else list(b) for n, b in self.bits.items()},
            "expansion": dict(self.expansion),
            "granularity": dict(self.granularity),
        }


def policy_from(source: Policy | Mapping[str, Any] | str | Path) -> Policy:
    """Read a policy from a JSON file or its content.

    A Pareto point of a search, and all that a search prints, hold a policy, and sizes and errors,
    which are ignored.

    Args:
        source: a file, its content, or a policy, which is returned as it is.

    Raises:
        OptionError: the file cannot be read, holds no policy, or has a key that is unknown.

    Example:
        >>> policy_from({"bits": {"conv1": 8, "fc": 4}, "packed_bytes": 1200}).bits["fc"]
        4
    """
    if isinstance(source, Policy):
        return source
    name = "the policy"
    if isinstance(source, str | Path):
        name = str(source)
        try:
            text = Path(source).read_text(encoding="utf-8")
            source = json.loads(text, object_pairs_hook=_unique)
        except (OSError, ValueError) as cause:
            raise OptionError(f"{name}: cannot be read as JSON: {cause}") from cause
        except RecursionError as cause:
            raise OptionError(
                f"{name}: is nested too deeply: a policy looks like {_FORM}."
            ) from cause
    if isinstance(source, Mapping) and isinstance(source.get("chosen"), Mapping):
        source = source["chosen"]  # all that a search printed
    if isinstance(source, Mapping):
        _check_keys(name, source)
    if not isinstance(source, Mapping) or not isinstance(source.get("bits"), Mapping):
        raise OptionError(f"{name}: is no policy, which looks like {_FORM}.")
    bits = {str(key): _width(name, key, value) for key, value in source["bits"].items()}
    shares, granularity = source.get("expansion") or {}, source.get("granularity") or {}
    for label, value in (("expansion", shares), ("granularity", granularity)):
        if not isinstance(value, Mapping):
            raise OptionError(f"{name}: its {label} is no mapping: a policy looks like {_FORM}.")
    for key, share in shares.items():
        if not isinstance(share, int | float) or not 0 <= share <= 1:
            raise OptionError(f"{name}: expansion {share!r} of {key!r} is no share from 0 to 1.")
    for key, own in granularity.items():
        if own not in ("tensor", "channel"):
            raise OptionError(f"{name}: granularity {own!r} of {key!r} is not tensor or channel.")
        if own == "tensor" and isinstance(bits.get(key), tuple):
            raise OptionError(
                f"{name}: {key!r} has a width per channel, but one step for all: say channel, or "
                "give it one width."
            )
    return Policy(
        bits, {str(key): float(share) for key, share in shares.items() if share}, dict(granularity)
    )


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping of JSON, in which no key stands twice."""
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands there twice.")
    return values


def _check_keys(name: str, source: Mapping[str, Any]) -> None:
    """Refuse a key that neither a policy nor a point of a search has."""
    for key in source:
        if key not in (*_KEYS, *_OF_POINTS):
            meant = difflib.get_close_matches(str(key).lower(), _KEYS, 1)
            hint = f"write {meant[0]!r}" if meant else f"these are: {', '.join(_KEYS)}"
            raise OptionError(f"{name}: {key!r} is no key of a policy: {hint}.")


def _width(name: str, weight: str, value: Any) -> Bits:
    """The width of a weight, or of each of its channels, from JSON."""
    widths = value if isinstance(value, list | tuple) else [value]
    if not widths or not all(type(w) is int and MIN_BITS <= w <= MAX_BITS for w in widths):
        raise OptionError(
            f"{name}: bits {value!r} of {weight!r} is no width from {MIN_BITS} to {MAX_BITS}, nor "
            "a list of them."
        )
    return tuple(value) if isinstance(value, list | tuple) else value


def expanded(model: Model, expansion: Mapping[str, float]) -> Model:
    """Split a share of the output channels of some layers, the largest outliers first.

    Args:
        model: the float model.
        expansion: the share of a layer's channels, by the name of its weight.

    Returns:
        A model that computes the same; `model` itself if no channel is split.

    Raises:
        OptionError: a layer's channels cannot be split.
    """
    shares = {name: share for name, share in expansion.items() if share}
    if not shares:
        return model
    allowed, reasons = splittable_layers(model)
    for name in shares:
        if name not in allowed:
            why = reasons.get(name, "there is no such weight")
            raise OptionError(f"the channels of {name!r} cannot be split: {why}.")
    return with_split_channels(model, splits_from_shares(shares, outlier_orders(model)))


def apply_policy(
    float_model: FloatModel,
    policy: Policy,
    calibration: Calibration,
    resources: Resources = DEFAULT_RESOURCES,
) -> FloatModel:
    """Split the float model's channels as a policy says, and check that the policy fits.

    Args:
        float_model: the float model.
        policy: widths, split channels and granularities.
        calibration: the samples on which the model must compute the same as before.
        resources: what the runs may use.

    Returns:
        The float model with split channels and its wider weights.

    Raises:
        OptionError: the policy does not fit the model.
        ModelError: the model with split channels computes something else.
    """
    model = expanded(float_model.model, policy.expansion)
    weights = weights_named(model, {weight.name for weight in float_model.weights})
    behind = weights_named(model, {weight.name for weight in float_model.behind})
    _check_names(policy, [w.name for w in weights], [w.name for w in behind])
    for weight in (weight for weight in (*weights, *behind) if weight.name in policy.bits):
        bits = policy.bits[weight.name]
        channels = 0 if weight.axis is None else weight.shape[weight.axis]
        if not isinstance(bits, int) and len(bits) != channels:
            raise OptionError(
                f"the policy has {len(bits)} widths for {weight.name!r}, which has {channels} "
                "channels: search again for this model."
            )
    if policy.expansion and not computes_the_same(model, float_model, calibration, resources):
        raise ModelError(
            "with some channels split the model's outputs change: search without expansion."
        )
    return replace(float_model, model=model, weights=weights, behind=tuple(behind))


def _check_names(policy: Policy, names: Sequence[str], optional: Sequence[str]) -> None:
    """Refuse a policy that lacks a weight, or that names a weight which is not there.

    Args:
        policy: the policy.
        names: the weights that it must name.
        optional: those that it may name.
    """
    missing = [name for name in names if name not in policy.bits]
    unknown = [
        name for name in (*policy.bits, *policy.granularity) if name not in (*names, *optional)
    ]
    if missing or unknown:
        what = f"has no bits for {missing[0]!r}" if missing else f"names {unknown[0]!r}"
        raise OptionError(
            f"the policy {what}, so it is of another model, or of other --keep: search again, or "
            "correct it (inspect lists the weights)."
        )

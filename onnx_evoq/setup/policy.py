"""A policy: for each weight a width, its steps, and the share of its channels that are split."""

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
from onnx_evoq.setup.calibration import Calibration
from onnx_evoq.setup.float_model import FloatModel, computes_the_same
from onnx_evoq.setup.grids import Granularities, Granularity
from onnx_evoq.setup.options import MAX_BITS, MIN_BITS
from onnx_evoq.setup.resources import DEFAULT_RESOURCES, Resources

_FORM = (
    '{"bits": {"WEIGHT": 4, ..}, "granularity": {"WEIGHT": "channel", ..}, '
    '"expansion": {"WEIGHT": 0.125, ..}}'
)


@dataclass(frozen=True)
class Policy:
    """What each layer gets.

    Attributes:
        bits: the width of each weight; or one per channel along its axis, those of the copies of
            split channels behind.
        expansion: share of a layer's output channels that are split, by weight; those without an
            entry have none.
        granularity: a step per tensor or per output channel, by weight; those without an entry have
            what is usual.
    """

    bits: Mapping[str, Bits]
    expansion: Mapping[str, float] = field(default_factory=dict)
    granularity: Mapping[str, Granularity] = field(default_factory=dict)

    def granularities(self, usual: Granularities) -> dict[str, Granularity]:
        """That of each weight; where channels differ in width, each has a step.

        Args:
            usual: for the weights that the policy says nothing of.
        """
        found: dict[str, Granularity] = {}
        for name, bits in self.bits.items():
            own = usual if isinstance(usual, str) else usual[name]
            own = own if isinstance(bits, int) else "channel"
            found[name] = self.granularity.get(name, own)
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "bits": {n: b if isinstance(b, int) else list(b) for n, b in self.bits.items()},
            "expansion": dict(self.expansion),
            "granularity": dict(self.granularity),
        }


def policy_from(source: Policy | Mapping[str, Any] | str | Path) -> Policy:
    """A policy from a JSON file or its content, which may hold more than that.

    Raises:
        OptionError: it cannot be read, or is no policy.
    """
    if isinstance(source, Policy):
        return source
    name = "the policy"
    if isinstance(source, str | Path):
        name = str(source)
        try:
            source = json.loads(Path(source).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as cause:
            raise OptionError(f"{name}: cannot be read as JSON: {cause}") from cause
    if isinstance(source, Mapping) and isinstance(source.get("chosen"), Mapping):
        source = source["chosen"]  # all that a search printed
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
        if own == "tensor" and not isinstance(bits.get(key, 0), int):
            raise OptionError(
                f"{name}: {key!r} has a width per channel, but one step for all: say channel, or "
                "give it one width."
            )
    return Policy(
        bits, {str(key): float(share) for key, share in shares.items() if share}, dict(granularity)
    )


def _width(name: str, weight: str, value: Any) -> Bits:
    widths = value if isinstance(value, list | tuple) else [value]
    if not widths or not all(type(w) is int and MIN_BITS <= w <= MAX_BITS for w in widths):
        raise OptionError(
            f"{name}: bits {value!r} of {weight!r} is no width from {MIN_BITS} to {MAX_BITS}, nor "
            "a list of them."
        )
    return tuple(value) if isinstance(value, list | tuple) else value


def expanded(model: Model, expansion: Mapping[str, float]) -> Model:
    """The model with a share of the channels of some layers split, the largest outliers first.

    Raises:
        OptionError: a layer's channels cannot be split.
    """
    wanted = {name: share for name, share in expansion.items() if share}
    if not wanted:
        return model
    allowed, reasons = splittable_layers(model)
    for name in wanted:
        if name not in allowed:
            why = reasons.get(name, "there is no such weight")
            raise OptionError(f"the channels of {name!r} cannot be split: {why}.")
    return with_split_channels(model, splits_from_shares(wanted, outlier_orders(model)))


def apply_policy(
    float_model: FloatModel,
    policy: Policy,
    calibration: Calibration,
    resources: Resources = DEFAULT_RESOURCES,
) -> FloatModel:
    """The subject with its channels split, which computes the same.

    Raises:
        OptionError: the policy does not fit the model.
        ModelError: with its channels split, the model computes something else.
    """
    model = expanded(float_model.model, policy.expansion)
    weights = weights_named(model, {weight.name for weight in float_model.weights})
    _check_names(policy, [weight.name for weight in weights])
    for weight in weights:
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
    return replace(float_model, model=model, weights=weights)


def _check_names(policy: Policy, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in policy.bits]
    unknown = [name for name in (*policy.bits, *policy.granularity) if name not in names]
    if missing or unknown:
        what = f"has no bits for {missing[0]!r}" if missing else f"names {unknown[0]!r}"
        raise OptionError(
            f"the policy {what}, so it is of another model, or of other --keep: search again, or "
            "correct it (inspect lists the weights)."
        )

"""The width and the granularity of each weight, from what a user asks for."""

from collections.abc import Mapping

from onnx_evoq.api.job.open_job import PolicySource
from onnx_evoq.errors import OptionError
from onnx_evoq.mixed_precision import ParetoPoint, Policy, policy_from
from onnx_evoq.quantize import Bits
from onnx_evoq.setup import (
    MAX_BITS,
    FloatModel,
    Granularities,
    Granularity,
    bits_of,
    check_bits,
)


def chosen_width(
    bits: int | None, policy: PolicySource | None, bits_for: Mapping[str, int] | None
) -> int | Policy:
    """The width of all weights, or the policy."""
    if policy is None:
        if bits is None:
            raise OptionError("neither bits nor a policy is given: choose bits from 2 to 8.")
        check_bits(bits)
        return bits
    if bits is not None or bits_for:
        raise OptionError("a policy says what bits each weight has: leave bits and bits_for out.")
    return policy_from(policy.policy if isinstance(policy, ParetoPoint) else policy)


def widths_of(
    float_model: FloatModel,
    chosen: int | Policy,
    bits_for: Mapping[str, int],
    granularity: Granularity,
) -> tuple[dict[str, Bits], Granularities]:
    """The width and the granularity of each weight that is quantized.

    Args:
        float_model: the model, with split channels if a policy has some.
        chosen: the width of all weights, or a policy. Weights behind what is scored have 8 bits
            where a policy says nothing of them.
        bits_for: widths by pattern.
        granularity: of the weights for which a policy has none.
    """
    if isinstance(chosen, int):
        widths: dict[str, Bits] = {**bits_of(float_model.every_weight, chosen, bits_for)}
        return widths, granularity
    names = [weight.name for weight in float_model.behind]
    behind: dict[str, Granularity] = dict.fromkeys(names, granularity)
    widths = {**dict.fromkeys(names, MAX_BITS), **chosen.bits}
    return widths, {**behind, **chosen.granularities(granularity)}


def one_granularity(granularities: Granularities) -> str:
    """The granularity of all weights, or "mixed"."""
    if isinstance(granularities, str):
        return granularities
    distinct = set(granularities.values())
    return distinct.pop() if len(distinct) == 1 else "mixed"

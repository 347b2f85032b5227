"""Sentences that say what synthetic inputs hold."""

from collections.abc import Collection, Sequence

from onnx_evoq.data import NO_DATA, Chosen, InputPlan, Noise, Whole
from onnx_evoq.signature import TensorSpec

# Why inputs have a range.
GUESSED = ", which is a guess"
GIVEN = ""
OF_TYPE = ", as their type allows"
SCALED = ", which the model's first nodes expect"
FITTED = ", which fits the statistics of the model's BatchNormalization nodes best"
BY_SCALE = ", a guess from the size of what the first layer computes"
HARDLY_FITTED = f"{FITTED} of the usual ranges, but not well"

_MOST = 4  # inputs in a sentence
_FLAGS = 2  # whole numbers below it are flags


def is_a_mere_guess(reason: str, plans: Sequence[InputPlan]) -> bool:
    """Whether nothing says what the inputs hold: the first noise is no image, in a guessed range.

    Where there are indices of rows, too (tokens beside a cache of floats), they say most.

    Args:
        reason: why their range was chosen.
        plans: how they were drawn.
    """
    noise = [plan.values for plan in plans if isinstance(plan.values, Noise)]
    indices = any(isinstance(p.values, Whole) and p.values.high > _FLAGS for p in plans)
    return bool(noise) and reason == GUESSED and not noise[0].image and not indices


def notes_on(
    samples: int,
    plans: Sequence[InputPlan],
    specs: Sequence[TensorSpec],
    reason: str,
    unranged: Collection[str],
) -> tuple[str, ...]:
    """What a user should know of synthetic inputs.

    Args:
        samples: how many there are.
        plans: how they were drawn.
        specs: the model's inputs.
        reason: why their range was chosen.
        unranged: the inputs for which the user's range does not hold.
    """
    noise = [plan.values for plan in plans if isinstance(plan.values, Noise)]
    where = f" from {_range_of(noise[0])}{_variation_of(noise[0])}{reason}" if noise else ""
    if noise and reason != GIVEN:
        where += " (input_range changes that)"
    # What is fitted to signals of another kind may do worse on real ones.
    may = "be worse" if is_a_mere_guess(reason, plans) else "be no better"
    notes = [
        f"{NO_DATA}: scored on {samples} synthetic inputs{where}; a few hundred real "
        f"samples would do better, and on them the result may {may} than nearest rounding."
    ]
    open_axes = {
        spec.name: [size is None for size in spec.shape or ()][-len(plan.shape) :]
        for spec, plan in zip(specs, plans, strict=True)
        if plan.shape
    }
    sizes = [
        f"{plan.name!r} is {' x '.join(map(str, plan.shape))}"
        for plan in plans
        if any(open_axes.get(plan.name, ()))
    ]
    if sizes:
        notes.append(f"sizes that the model leaves open were chosen: {_listed(sizes)}.")
    constants = [
        f"{plan.name!r} is {plan.values.values[0]:g}"
        for plan in plans
        if isinstance(plan.values, Chosen) and len(plan.values.values) == 1
    ]
    if constants:
        notes.append(f"from what the model does with them, {_listed(constants)} in all samples.")
    if unranged:
        what = [f"{plan.name!r} ({_described(plan)})" for plan in plans if plan.name in unranged]
        notes.append(
            f"input_range does not hold for {_listed(what)}, as what the model does with them says "
            "what they are."
        )
    return tuple(notes)


def _range_of(noise: Noise) -> str:
    low, high = (
        (noise.mean[0] - 2 * noise.deviation[0], noise.mean[0] + 2 * noise.deviation[0])
        if noise.low == -float("inf")
        else (noise.low, noise.high)
    )
    return f"about {low:g} to {high:g}"


def _variation_of(noise: Noise) -> str:
    """How samples differ in amplitude."""
    if len(noise.amplitudes) == 1:
        return ""
    if noise.image:
        return ", every other one with twice the contrast"
    return f", and down to {min(noise.amplitudes):g} times that"


def _described(plan: InputPlan) -> str:
    values = plan.values
    if isinstance(values, Whole):
        return f"whole numbers from {values.low} to {values.high - 1}"
    if isinstance(values, Chosen):
        return "one of " + ", ".join(f"{value:g}" for value in values.values[:_MOST])
    return "positions"


def _listed(parts: Sequence[str]) -> str:
    more = f" and {len(parts) - _MOST} more" if len(parts) > _MOST else ""
    return ", ".join(parts[:_MOST]) + more

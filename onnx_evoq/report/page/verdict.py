"""The verdict on an optimized model: whether it was worth it, what hurts most, and what is next.

How good a model is follows from the first of these that is known, on held-out samples:

1. labels: the points of top-1 that are lost, beside their interval;
2. classes without labels: the share of answers that changed;
3. the relative error of the outputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from onnx_evoq.report.page.commands import (
    evaluation_command,
    given_command,
    shown,
    with_option,
)
from onnx_evoq.report.page.layer_rows import LayerRow
from onnx_evoq.report.texts import accuracy, percent, plain, signed, size, within

_MIN_BITS, _MAX_BITS = 2, 8
_SMALL_LOSS, _LARGE_LOSS = 0.01, 0.05  # of top-1
_FEW_CHANGED, _MANY_CHANGED = 0.02, 0.10  # of answers
_SMALL_ERROR, _LARGE_ERROR = 0.01, 0.10  # of the power of outputs
_MOST_OF_ALL = 0.4  # of all sensitivities, above which one layer alone gets more bits
_MORE_TIME = 4  # times

Level = Literal["kept", "some", "much", "unknown"]
_ANSWERS: Mapping[Level, str] = {
    "kept": "Yes", "some": "Partly", "much": "Not yet", "unknown": "That is not known",
}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """The answers to three questions.

    Attributes:
        level: how much of the float model is kept.
        worth: whether it was worth it.
        hurts: which layer hurts most.
        following: what to do next, and the commands for it.
    """

    level: Level
    worth: str
    hurts: str
    following: Sequence[tuple[str, str]]


def verdict_of(values: Mapping[str, Any], rows: Sequence[LayerRow]) -> Verdict:
    """The verdict on an optimized model.

    Args:
        values: of the result, as `Result.to_dict` gives them.
        rows: its layers.
    """
    level, quality = quality_of(values)
    before, after = values["bytes_before"], values["bytes_after"]
    if after < before:
        answer = _ANSWERS[level]
        if level == "kept" and _is_doubtful(values):
            answer = "Probably, though held-out samples are too few to tell"
        times = f"{before / max(after, 1):.1f} times"
        sizes = f"the file is {times} smaller ({size(before)} to {size(after)})"
    else:
        answer = "No"
        sizes = f"the file is not smaller ({size(before)} before, {size(after)} now)"
    worth = f"{answer}: {sizes}, and {quality}"
    return Verdict(level, worth, _hurts(rows), _following(values, level, rows))


def quality_of(values: Mapping[str, Any]) -> tuple[Level, str]:
    """How much of the float model is kept, and a sentence that says so."""
    details = values.get("details") or {}
    models = (details.get("heldout") or {}).get("models") or {}
    answers = details.get("answers") or {}
    if "top1" in models.get("evolved", {}):
        return _by_top1(models)
    if answers.get("changed") is not None:
        share = answers["changed"] / max(answers["of"], 1)
        text = (
            f"{answers['changed']} of {answers['of']} held-out samples get another answer than "
            f"from the float model {within(answers['low'], answers['high'])}."
        )
        return _level(share, _FEW_CHANGED, _MANY_CHANGED), text
    relative = {name: model["relative"] for name, model in models.items()}
    if "evolved" in relative and relative["evolved"]["value"] is not None:
        now, rounded = relative["evolved"], relative["nearest"]
        text = (
            f"the outputs are off by {percent(now['value'])} of their power "
            f"{within(now['low'], now['high'])} on held-out samples; nearest rounding is off by "
            f"{percent(rounded['value'])}."
        )
        return _level(now["value"], _SMALL_ERROR, _LARGE_ERROR), text
    scores = values["scores"]
    found, rounded = (scores[name].get("heldout") for name in ("evolved", "nearest"))
    text = (
        f"{values['metric']} on held-out samples is {plain(found, 4)}; of nearest rounding it is "
        f"{plain(rounded, 4)}, of the float model {plain(scores['reference'].get('heldout'), 4)}."
    )
    return "unknown", text


def _is_doubtful(values: Mapping[str, Any]) -> bool:
    """Whether many answers may have changed among samples that were not seen."""
    answers = (values.get("details") or {}).get("answers") or {}
    return answers.get("high") is not None and answers["high"] > _MANY_CHANGED


def _by_top1(models: Mapping[str, Any]) -> tuple[Level, str]:
    now, of_float, rounded = (models[name]["top1"] for name in ("evolved", "reference", "nearest"))
    lost, limits = now["lost"], now["lost_within"]
    certain = limits is not None and limits[0] > 0
    level = _level(lost, _SMALL_LOSS, _LARGE_LOSS) if certain else "kept"
    if not certain and lost > _LARGE_LOSS:
        level = "some"  # too few samples to tell
    change = signed(-lost)
    reach = "" if limits is None else f", from {signed(-limits[1])} to {signed(-limits[0])}"
    text = (
        f"top-1 is {accuracy(now['value'])} ({change} points{reach}) where the float model has "
        f"{accuracy(of_float['value'])} and nearest rounding {accuracy(rounded['value'])}."
    )
    return level, text


def _level(lost: float, small: float, large: float) -> Level:
    return "kept" if lost <= small else "some" if lost <= large else "much"


def worst_layer(rows: Sequence[LayerRow]) -> tuple[LayerRow, float] | None:
    """The most sensitive layer, and its share of all sensitivities; None if none is known."""
    known = [(row.sensitivity, row) for row in rows if row.sensitivity is not None]
    total = sum(value for value, _ in known)
    if not known or total <= 0:
        return None
    value, row = max(known, key=lambda each: each[0])
    return row, value / total


def _hurts(rows: Sequence[LayerRow]) -> str:
    worst = worst_layer(rows)
    if worst is None:
        last = [(row.errors["evolved"], row) for row in rows]
        known = [(error, row) for error, row in last if error is not None]
        if not known:
            return "That was not measured: run it again with --report."
        error, row = max(known, key=lambda each: each[0])
        return f"{row.label}: behind it, the error is largest, {percent(error)} of the power."
    row, share = worst
    now = row.errors["evolved"]
    rest = "" if now is None else f" Now the error behind it is {percent(now)}."
    return (
        f"{row.label} ({row.bits} bits): rounded alone, it moves the outputs by "
        f"{percent(row.sensitivity)} of their power, {percent(share)} of what all layers do.{rest}"
    )


def _following(
    values: Mapping[str, Any], level: Level, rows: Sequence[LayerRow]
) -> list[tuple[str, str]]:
    """What to do next, the most promising first, each with its command."""
    words, bits = given_command(values), values.get("bits")
    test = (
        "Score the file on data that the search has not seen:",
        shown(evaluation_command(values)),
    )
    if level in ("kept", "unknown"):
        if bits is None or bits <= _MIN_BITS:
            return [test]
        fewer = shown(with_option(words, "--bits", str(bits - 1)))
        return [test, (f"Try whether {bits - 1} bits are enough:", fewer)]
    steps = []
    if values.get("stopped") == "time":
        seconds = max(10, round(_MORE_TIME * values["seconds"]))
        again = with_option(words, "--time-budget", f"{seconds}s")
        steps.append(("Give it more time, since the budget cut it short:", shown(again)))
    worst = worst_layer(rows)
    if worst is not None and worst[1] > _MOST_OF_ALL and bits is not None and bits < _MAX_BITS:
        wider = with_option(words, "--bits-for", f"{worst[0].weight}={_MAX_BITS}", also=True)
        steps.append((f"Give {worst[0].label} alone 8 bits:", shown(wider)))
    if bits is not None and bits < _MAX_BITS:
        wider = with_option(words, "--bits", str(bits + 1))
        steps.append((f"Give all layers {bits + 1} bits:", shown(wider)))
    return [*steps, test] if level == "some" or not steps else steps

"""The target of a model, and what it says where the user says nothing."""

from collections.abc import Mapping, Sequence
from typing import cast, get_args

from onnx_evoq.errors import OptionError
from onnx_evoq.model import Weight
from onnx_evoq.pipeline.emission import Form, Storage
from onnx_evoq.quantize import Bits
from onnx_evoq.setup import Granularities, Grid, check_choices
from onnx_evoq.targets import ONNXRUNTIME, Target, TargetName, check_target, find_target


def choose_target(
    target: TargetName | None,
    grid: Grid,
    storage: Storage = "auto",
    form: Form | None = None,
) -> tuple[Target, Storage, Form]:
    """The target, and the storage and the format that go with it.

    Args:
        target: its name; None for ONNX Runtime, or for QONNX with that format.
        grid: of weights and activations.
        storage: the narrowest type of weights; "auto" for the narrowest that the target reads.
        form: of the file; None for the one that the target reads.

    Raises:
        OptionError: an option is unknown, or contradicts the target or another one.
    """
    check_choices(storage=(storage, get_args(Storage)))
    if form is not None:
        check_choices(format=(form, get_args(Form)))
    if target is None and form == "qonnx":
        target = "qonnx"
    chosen = ONNXRUNTIME if target is None else find_target(target)
    own_form = cast(Form, chosen.forms[0]) if form is None else form
    if own_form == "c":  # made from the qdq format, with codes of 8 bits
        if "qdq" not in chosen.forms:
            raise OptionError(
                f"format c and target {chosen.name} contradict each other: leave one of them out."
            )
        if storage not in ("auto", "int8"):
            raise OptionError("format c stores codes as int8_t: leave the storage out.")
        storage = "int8"
    check_target(
        chosen, activations=grid.activations, scale=grid.scale,
        activation_scale=grid.activation_scale, granularity=grid.of_all(), storage=storage,
        form="qdq" if own_form == "c" else own_form,
    )  # fmt: skip
    if grid.activations is not None and storage not in ("auto", "int8"):
        raise OptionError(f"storage {storage} is not for integer activations: choose int8.")
    if grid.activations is not None and own_form == "float" and not chosen.quantizes_floats:
        raise OptionError(
            "integer activations need the qdq format or qonnx: leave the float format out."
        )
    if own_form == "float" and storage != "auto":
        raise OptionError(
            f"storage {storage} is for integer weights, which the float format has not: leave one "
            "of them out."
        )
    if storage == "auto":
        storage = cast(Storage, chosen.storages[0])
    return chosen, storage, own_form


def granularities_for(
    target: Target,
    weights: Sequence[Weight],
    granularities: Granularities,
    widths: Mapping[str, Bits],
) -> tuple[Granularities, list[str]]:
    """The granularity of each weight that a target takes, and notes on those that it changes.

    Args:
        target: what the runtime takes.
        weights: the weights.
        granularities: what was asked for.
        widths: of the weights, by name.

    Returns:
        The granularities, and sentences that a user should read.

    Raises:
        OptionError: a policy has a granularity, or widths of channels, that the target does not
            take.
    """
    asked = {
        w.name: granularities if isinstance(granularities, str) else granularities[w.name]
        for w in weights
    }
    for name, own in asked.items():
        if own not in target.granularities:
            raise OptionError(
                f"target {target.name} does not take granularity {own}, which the policy has for "
                f"{name!r}."
            )
    per_channel = [w.name for w in weights if asked[w.name] == "channel"]
    transposed = {w.name for w in weights if w.op_type == "ConvTranspose"}
    changed = [name for name in per_channel if name in transposed]
    if not target.transposed_per_tensor or not changed:
        return granularities, []
    for name in changed:
        if not isinstance(widths[name], int):
            raise OptionError(
                f"target {target.name} takes one step for a ConvTranspose, and the policy has a "
                f"width for each channel of {name!r}."
            )
    return {**asked, **dict.fromkeys(changed, "tensor")}, [
        f"target {target.name} takes one step for a ConvTranspose: {', '.join(changed)} have one."
    ]


def notes_on_target(target: Target, activations: int | None, form: Form = "qdq") -> list[str]:
    """What a user should know about a target.

    Args:
        target: what the runtime takes.
        activations: width of the codes of activations; None if they stay floats.
        form: of the file; the target does not read a C header.
    """
    notes = [f"target {target.name}: {target.note}"] if target.note and form != "c" else []
    if activations is None and target.needs_activations:
        notes.append(
            f"target {target.name} runs models on integers: give --activations 8, too, since in "
            "this file activations are floats."
        )
    return notes

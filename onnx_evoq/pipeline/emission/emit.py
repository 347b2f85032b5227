"""Emit a model, and make sure that it computes what was scored.

1. Narrow integer types (INT4, INT2) need a newer operator set. The converted model must load, and
   its outputs must be those of the float form. Otherwise the next wider type is tried, and a note
   says so.
2. ONNX Runtime's default options may round the activations after a DequantizeLinear. Where this
   changes the outputs, a note names the option that avoids it. Where it ruins them, the next wider
   type is tried: ONNX Runtime 1.31 misreads INT2 matrices whose columns are no multiple of 4.
"""

from collections.abc import Mapping
from typing import Literal

from onnx_evoq.activations import Activations, integer_model
from onnx_evoq.array_types import Arrays
from onnx_evoq.batch import Batch
from onnx_evoq.errors import ModelError
from onnx_evoq.metrics import largest_difference
from onnx_evoq.model import (
    Model,
    Network,
    Quantized,
    Runnable,
    as_network,
    emit_float,
    emit_qdq,
    fixed_batch,
    opset_of,
    with_codes,
)
from onnx_evoq.score import SESSION_OPTIONS
from onnx_evoq.setup import (
    DEFAULT_RESOURCES,
    Resources,
    own_options,
    run_model,
)
from onnx_evoq.targets import ONNXRUNTIME, Target

# Differences of outputs, relative to the largest output.
_REORDERED = 1e-4  # at most by float arithmetic in another order
_NOTICEABLE = 1e-3  # more than this is noted
_RUINED = 0.1  # more than this is not emitted
_INTEGER = 0.05  # at most by integer kernels, which may round ties differently

_KERNELS = (
    "the integer kernels of ONNX Runtime change the outputs by {:.1f} % on this machine, against "
    "the same arithmetic in floats; the scores are those of the kernels."
)
_SIZE_ALONE = (
    "weights alone save size, not time: runtimes compute this file with floats, and ONNX Runtime "
    "is as fast as with the float model if session.disable_quant_qdq=1 is set. MNN converts such "
    "files without an error, and computes wrong values: give it the float format. For time, "
    "quantize activations, too."
)

_WIDTHS = (2, 4, 8)  # of the integer types of ONNX

Form = Literal["qdq", "float", "qonnx", "c"]
Storage = Literal["auto", "int8", "int4", "int2"]
_LEAST_BITS: dict[Storage, int] = {"auto": 2, "int2": 2, "int4": 4, "int8": 8}


def emit(
    model: Runnable,
    quantized: Quantized,
    form: Form,
    batch: Batch,
    resources: Resources = DEFAULT_RESOURCES,
    activations: Activations | None = None,
    storage: Storage = "auto",
    target: Target = ONNXRUNTIME,
) -> tuple[Model, list[str]]:
    """Emit a model with the narrowest integer types that give the outputs that were scored.

    Args:
        model: the float model.
        quantized: codes and grid by weight.
        form: "qdq" for integer weights with DequantizeLinear, "float" for float weights; "qonnx"
            for the qdq format, which `in_qonnx` turns into QONNX; "c" for the qdq format, which a C
            header is made from.
        batch: inputs on which outputs are compared.
        resources: what may be used of the machine.
        activations: those of `model`, which simulates them; None if they are floats.
        storage: the narrowest integer type that may be used; "auto" for any.
        target: what the runtime takes.

    Returns:
        The emitted model, and sentences that a user should read.

    Raises:
        ModelError: the model cannot be emitted in this form.
    """
    if form == "float":
        return emit_float(model, quantized), []
    if activations is not None:
        emitted, notes = _emit_integers(activations, as_network(model), quantized, batch, resources)
    else:
        emitted, notes = _emit_weights(model, quantized, batch, resources, storage, target)
        notes = [] if form in ("qonnx", "c") else notes  # on runtimes, which do not get this file
    if opset_of(emitted) < target.opset and form != "c":
        notes.append(
            f"the file has operator set {opset_of(emitted)}, and target {target.name} asks for "
            f"{target.opset}, to which the model cannot be converted: export it anew."
        )
    return emitted, notes


def _emit_weights(
    model: Runnable,
    quantized: Quantized,
    batch: Batch,
    resources: Resources,
    storage: Storage,
    target: Target,
) -> tuple[Model, list[str]]:
    """Emit integer weights, where activations are floats."""
    notes = []
    expected = _outputs(with_codes(model, quantized), batch, resources)
    widest = (grid.widest for _, grid in quantized.values())
    needed = max(min(widest), _LEAST_BITS[storage])
    attempts = [(bits, 0) for bits in _WIDTHS if bits >= needed]
    own = opset_of(as_network(model).model)
    if own < target.opset:  # narrow types need a newer one in any case
        attempts.insert(-1, (_WIDTHS[-1], target.opset))
    for narrowest, opset in attempts:
        try:
            emitted = emit_qdq(model, quantized, narrowest=narrowest, opset=opset)
            _check_same(emitted, expected, batch, resources)
            by_default = _outputs(emitted, batch, resources, options={})
            changed = largest_difference(by_default, expected)
            if not changed <= _RUINED and narrowest < _WIDTHS[-1]:
                raise ModelError(
                    "ONNX Runtime's default options would change the outputs by "
                    f"{100 * changed:.0f} %."
                )
            break
        except ModelError as cause:
            if (narrowest, opset) == attempts[-1]:
                raise
            if not opset:
                notes.append(f"INT{narrowest} is not used for narrow codes: {cause}")
            else:
                notes.append(f"operator set {opset} is not used: {cause}")
    after = opset_of(emitted)
    if after > own:
        notes.append(
            f"the operator set was raised from {own} to {after}, as the integer types or the "
            "target need: emit the float format for runtimes that lack it."
        )
    if own_options(emitted) != SESSION_OPTIONS:  # some activations were integers before
        notes += [] if changed <= _INTEGER else [_KERNELS.format(100 * changed)]
    elif not changed <= _NOTICEABLE:
        notes.append(
            "ONNX Runtime's default options change this file's outputs by "
            f"{100 * changed:.1f} % (they round the activations of MatMul): set "
            "session.disable_quant_qdq=1 to get these scores, or emit the float format."
        )
    notes.append(_SIZE_ALONE)
    return emitted, notes


def fixed_for(target: Target, model: Model) -> tuple[Model, list[str]]:
    """The model with the shapes that a target takes, and notes.

    Args:
        target: what the runtime takes.
        model: the emitted model.
    """
    if not target.fixed_batch:
        return model, []
    fixed, still_open = fixed_batch(model)
    if not still_open:
        return fixed, []
    return fixed, [
        f"target {target.name} needs fixed shapes, and these inputs have open axes: "
        f"{', '.join(still_open)}. Export the model with fixed ones."
    ]


def _emit_integers(
    activations: Activations,
    network: Network,
    quantized: Quantized,
    batch: Batch,
    resources: Resources,
) -> tuple[Model, list[str]]:
    """Emit integer weights and activations in types of 8 or 16 bits.

    Weights that no integer operator reads are emitted with a DequantizeLinear of their own.
    """
    emitted = integer_model(activations, network, quantized)
    floats = {tensor.name for tensor in emitted.graph.initializer} & quantized.keys()
    if floats:
        rest = {name: weight for name, weight in quantized.items() if name in floats}
        emitted = emit_qdq(emitted, rest, narrowest=_WIDTHS[-1])
    expected = _outputs(with_codes(network, quantized), batch, resources)
    found = _outputs(emitted, batch, resources, own_options(emitted))
    changed = largest_difference(found, expected)
    return emitted, [] if changed <= _INTEGER else [_KERNELS.format(100 * changed)]


def _check_same(emitted: Model, expected: Arrays, batch: Batch, resources: Resources) -> None:
    difference = largest_difference(_outputs(emitted, batch, resources), expected)
    if not difference <= _REORDERED:
        raise ModelError(
            f"the emitted model's outputs differ by {difference:.1e} from what was scored."
        )


def _outputs(
    model: Runnable,
    batch: Batch,
    resources: Resources,
    options: Mapping[str, str] = SESSION_OPTIONS,
) -> Arrays:
    outputs = next(run_model(model, [batch], resources, "the emitted model", options))
    # All memory of a session stays in use as long as one of its outputs, so these are copied.
    return {name: values.copy() for name, values in outputs.items()}

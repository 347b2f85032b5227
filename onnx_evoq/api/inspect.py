"""List a model's weights."""

from onnx_evoq.api.job import ModelSource
from onnx_evoq.model import (
    check_finite,
    find_layers,
    find_weights,
    fold_batch_norm,
    fold_constants,
    load,
    name_of,
    size_in_bytes,
    splittable_layers,
)
from onnx_evoq.report import Inspection, weight_info


def inspect(model: ModelSource, *, requantize: bool = False) -> Inspection:
    """List the weights of a model, and say for every other initializer why it is not quantized.

    For each weight, the result says whether its output channels can be split: a channel is
    duplicated, and the layers that read it get half of their weight for each copy. Where they
    cannot be split, it gives the reason.

    Args:
        model: the path of an ONNX file, or an `onnx.ModelProto`; a float model, or one with some
            layers quantized.
        requantize: whether weights that are quantized already count as weights.

    Returns:
        The weights; the initializers that are not quantized, with the reason for each; and the
        BatchNormalization nodes that are folded.

    Raises:
        ModelError: the model cannot be read, or is in QONNX.

    Example:
        >>> import onnx_evoq
        >>> [w.name for w in onnx_evoq.inspect("model.onnx").weights]  # doctest: +SKIP
        ['conv1.weight', 'fc.weight']
    """
    constants = fold_constants(load(model), requantize=requantize)
    folded, batch_norms = fold_batch_norm(constants.model)
    weights, skipped = find_weights(folded)
    check_finite(weights)
    _, reasons = splittable_layers(folded)
    layers = find_layers(folded, weights)
    return Inspection(
        source=name_of(model),
        bytes=size_in_bytes(model),
        folded=tuple(batch_norms),
        weights=tuple(
            weight_info(weight, reasons.get(weight.name), weight.name in layers)
            for weight in weights
        ),
        skipped=tuple(skipped),
    )

"""List a model's weights."""

from onnx_evoq.api.job import ModelSource
from onnx_evoq.model import (
    check_finite,
    find_weights,
    fold_batch_norm,
    load,
    name_of,
    size_in_bytes,
    splittable_layers,
)
from onnx_evoq.report import Inspection, weight_info


def inspect(model: ModelSource) -> Inspection:
    """List a model's weights, and say of every other initializer why it is none.

    Of each weight it says whether the output channels can be split (duplicated, with half the
    weight for either in what reads them), and if not, what is in the way.

    Args:
        model: a float ONNX model.

    Returns:
        The weights, and the initializers that are skipped, with the reason for each.

    Raises:
        ModelError: it cannot be read or is quantized already.

    Example:
        >>> import onnx_evoq
        >>> [w.name for w in onnx_evoq.inspect("model.onnx").weights]  # doctest: +SKIP
        ['conv1.weight', 'fc.weight']
    """
    folded, names = fold_batch_norm(load(model))
    weights, skipped = find_weights(folded)
    check_finite(weights)
    _, in_the_way = splittable_layers(folded)
    return Inspection(
        source=name_of(model),
        bytes=size_in_bytes(model),
        folded=tuple(names),
        weights=tuple(weight_info(weight, in_the_way.get(weight.name)) for weight in weights),
        skipped=tuple(skipped),
    )

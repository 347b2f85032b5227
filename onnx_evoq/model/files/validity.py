"""Check whether a model is valid ONNX, except for one rule that ONNX Runtime does not share."""

from onnx import ModelProto, ValueInfoProto, checker

from onnx_evoq.model.graph import without_values


def check_valid(model: ModelProto) -> None:
    """Check `model` as `onnx.checker` does, except that inputs and outputs need not state a shape.

    Values of large tensors are not looked at: whether they fit shapes and types is known.

    Raises:
        onnx.checker.ValidationError: the model is not valid.
    """
    checked = without_values(model)
    for value in (*checked.graph.input, *checked.graph.output):
        if _lacks_shape(value):
            value.type.tensor_type.shape.SetInParent()
    checker.check_model(checked)


def _lacks_shape(value: ValueInfoProto) -> bool:
    kind = value.type
    return kind.HasField("tensor_type") and not kind.tensor_type.HasField("shape")

"""Check whether a model is valid ONNX, except for one rule that ONNX Runtime does not share."""

from onnx import ModelProto, ValueInfoProto, checker

from onnx_evoq.model.graph.nodes import copy_of


def check_valid(model: ModelProto) -> None:
    """Check `model` as `onnx.checker` does, except that inputs and outputs need not state a shape.

    Raises:
        onnx.checker.ValidationError: the model is not valid.
        ValueError: the model is larger than 2 GB.
    """
    if any(_lacks_shape(value) for value in (*model.graph.input, *model.graph.output)):
        shaped = copy_of(model)
        for value in (*shaped.graph.input, *shaped.graph.output):
            if _lacks_shape(value):
                value.type.tensor_type.shape.SetInParent()
        model = shaped
    checker.check_model(model)


def _lacks_shape(value: ValueInfoProto) -> bool:
    kind = value.type
    return kind.HasField("tensor_type") and not kind.tensor_type.HasField("shape")

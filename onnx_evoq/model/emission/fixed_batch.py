"""Fix the batch of a model at one sample, for runtimes that take no open shapes."""

from onnx import ModelProto, shape_inference

from onnx_evoq.model.graph import copy_of, without_values


def fixed_batch(model: ModelProto) -> tuple[ModelProto, list[str]]:
    """A copy of a model whose inputs hold one sample.

    All axes that have the name of an input's first axis become 1.

    Args:
        model: a model; it stays as it is.

    Returns:
        The copy, and the names of the inputs that have other open axes.
    """
    fixed = copy_of(model)
    graph = fixed.graph
    held = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in held]
    first = [value.type.tensor_type.shape.dim[:1] for value in inputs]
    names = {dim.dim_param for dims in first for dim in dims if dim.dim_param}
    for value in [*graph.input, *graph.output, *graph.value_info]:
        dims = value.type.tensor_type.shape.dim
        for index, dim in enumerate(dims):
            is_batch = index == 0 and value in inputs and not dim.HasField("dim_value")
            if is_batch or dim.dim_param in names:
                dim.dim_value = 1
    still_open = [
        value.name
        for value in inputs
        if not value.type.tensor_type.HasField("shape")
        or not all(dim.HasField("dim_value") for dim in value.type.tensor_type.shape.dim)
    ]
    inferred = shape_inference.infer_shapes(without_values(fixed, shapes=True))
    for value, known in zip(graph.output, inferred.graph.output, strict=True):
        value.CopyFrom(known)
    return fixed, still_open

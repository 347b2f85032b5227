"""The shapes of a model's tensors for given shapes of its inputs, without running it."""

from collections.abc import Mapping

from onnx import GraphProto, ModelProto, helper, shape_inference

from onnx_evoq.model.graph import walk

_FEW_BYTES = 8192  # of an initializer that may hold a shape or a list of axes


class ShapeInference:
    """Infers the shapes of a model's tensors again and again, for other shapes of its inputs.

    Args:
        model: a model as `load` returns it; of its weights, only the shapes are used.
    """

    def __init__(self, model: ModelProto) -> None:
        self._model = _without_weights(model)

    def shapes(self, inputs: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int | None, ...]]:
        """The shapes of all tensors of which at least the number of axes is known, by name.

        Args:
            inputs: the shape of each input of the model.
        """
        self._set(inputs)
        try:
            return _stated_shapes(shape_inference.infer_shapes(self._model, data_prop=True).graph)
        except shape_inference.InferenceError:
            return {}

    def contradicted(self, inputs: Mapping[str, tuple[int, ...]]) -> bool:
        """Whether a node does not take the shapes that follow from those of the inputs.

        Args:
            inputs: the shape of each input of the model.
        """
        self._set(inputs)
        try:
            shape_inference.infer_shapes(self._model, strict_mode=True, data_prop=True)
        except shape_inference.InferenceError:
            return True
        return False

    def _set(self, inputs: Mapping[str, tuple[int, ...]]) -> None:
        """State the shapes of inputs."""
        for value in self._model.graph.input:
            if value.name in inputs:
                kind = value.type.tensor_type.elem_type
                stated = helper.make_tensor_value_info(value.name, kind, inputs[value.name])
                value.CopyFrom(stated)


def _without_weights(model: ModelProto) -> ModelProto:
    """A copy of a model whose large initializers are inputs, and whose outputs state no shape."""
    bare = ModelProto(ir_version=model.ir_version)
    bare.opset_import.extend(model.opset_import)
    graph = bare.graph
    graph.name = model.graph.name or "graph"
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.output.extend(helper.make_empty_tensor_value_info(o.name) for o in model.graph.output)
    for tensor in model.graph.initializer:
        if tensor.ByteSize() <= _FEW_BYTES and tensor.data_location != tensor.EXTERNAL:
            graph.initializer.append(tensor)
        else:
            stated = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            graph.input.append(stated)
    return bare


def _stated_shapes(graph: GraphProto) -> dict[str, tuple[int | None, ...]]:
    shapes: dict[str, tuple[int | None, ...]] = {}
    for inner in walk(graph):
        for tensor in inner.initializer:
            shapes[tensor.name] = tuple(tensor.dims)
        for value in (*inner.value_info, *inner.input, *inner.output):
            kind = value.type.tensor_type
            if kind.HasField("shape"):
                shapes[value.name] = tuple(
                    d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim
                )
    return shapes

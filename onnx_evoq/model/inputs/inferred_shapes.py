"""The shapes of a model's tensors for given shapes of its inputs, without running it."""

from collections.abc import Mapping

from onnx import GraphProto, ModelProto, helper, shape_inference

from onnx_evoq.model.graph import bodies, copy_of, replace_nodes, walk

_FEW_BYTES = 8192  # of an initializer that may hold a shape or a list of axes


class ShapeInference:
    """Infers the shapes of a model's tensors again and again, for other shapes of its inputs.

    Args:
        model: a model as `load` returns it; of its weights, only the shapes are used.
    """

    def __init__(self, model: ModelProto) -> None:
        self._model = _without_weights(model)
        self._checked = _before_bodies(self._model)

    def shapes(self, inputs: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int | None, ...]]:
        """The shapes of all tensors of which at least the number of axes is known, by name.

        Args:
            inputs: the shape of each input of the model.
        """
        _state(self._model, inputs)
        try:
            return _stated_shapes(shape_inference.infer_shapes(self._model, data_prop=True).graph)
        except shape_inference.InferenceError:
            return {}

    def contradicted(self, inputs: Mapping[str, tuple[int, ...]]) -> bool:
        """Whether a node does not take the shapes that follow from those of the inputs.

        Args:
            inputs: the shape of each input of the model.
        """
        _state(self._checked, inputs)
        try:
            shape_inference.infer_shapes(self._checked, strict_mode=True, data_prop=True)
        except shape_inference.InferenceError:
            return True
        return False


def _state(model: ModelProto, inputs: Mapping[str, tuple[int, ...]]) -> None:
    """State the shapes of inputs, in place."""
    for value in model.graph.input:
        if value.name in inputs:
            kind = value.type.tensor_type.elem_type
            value.CopyFrom(helper.make_tensor_value_info(value.name, kind, inputs[value.name]))


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


def _before_bodies(model: ModelProto) -> ModelProto:
    """A copy of a model without the nodes that have bodies, of which some never run, and what is
    computed from these.
    """
    before = copy_of(model)
    behind: set[str] = set()
    nodes = []
    for node in model.graph.node:
        if any(bodies(node)) or not behind.isdisjoint(node.input):
            behind.update(node.output)
        else:
            nodes.append(node)
    replace_nodes(before.graph, nodes)
    del before.graph.output[:]
    return before


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

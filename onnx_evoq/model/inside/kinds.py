"""The element types of tensors, wherever in a model they are."""

from onnx import GraphProto, NodeProto, TensorProto

from onnx_evoq.model.graph import FLOAT_TYPES, attribute, walk


class Kinds:
    """Finds the element type of float tensors.

    The names of tensors are unique in a model that is loaded, bodies included.

    Args:
        graph: the main graph.
    """

    def __init__(self, graph: GraphProto) -> None:
        self._stated: dict[str, int] = {}
        self._makers: dict[str, NodeProto] = {}
        for inner in walk(graph):
            self._stated.update((v.name, v.type.tensor_type.elem_type) for v in inner.input)
            self._stated.update((tensor.name, tensor.data_type) for tensor in inner.initializer)
            self._makers.update((name, node) for node in inner.node for name in node.output)

    def of(self, name: str) -> int:
        """The type of a tensor that is float32 or float16: that of the floats it is made from."""
        waiting, seen = [name], set[str]()
        while waiting:
            tensor = waiting.pop()
            if tensor in seen:
                continue
            seen.add(tensor)
            maker = self._makers.get(tensor)
            kind = self._stated.get(tensor, 0)
            if maker is not None and maker.op_type == "Cast":
                kind = int(attribute(maker, "to", 0))
            if kind in FLOAT_TYPES:
                return kind
            if not kind and maker is not None:
                waiting.extend(reversed(maker.input))
        return TensorProto.FLOAT

"""The kinds of a graph's tensors, as far as shape inference tells them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from onnx import ModelProto, TypeProto, ValueInfoProto, helper, shape_inference

from onnx_evoq.model.graph import part_of, walk
from onnx_evoq.model.outputs.operators import FLOATS


@dataclass(frozen=True)
class TensorKinds:
    """What is known of the types and the shapes of a graph's tensors.

    Attributes:
        types: by name, the element type of a tensor as ONNX numbers it; 0 for a value that is no
            tensor. A name that is not there has a type that is not known.
        fixed: the tensors whose shape follows from the shapes of the model's inputs alone.
    """

    types: dict[str, int]
    fixed: frozenset[str]

    def is_float(self, name: str) -> bool | None:
        """Whether a tensor holds floats; None if that is not known."""
        return self.types[name] in FLOATS if name in self.types else None

    def told(self, types: Mapping[str, str]) -> "TensorKinds":
        """The same with types that were asked elsewhere.

        Args:
            types: by the name of a tensor, NumPy's name of its type; empty if it holds no floats.
        """
        numbers = {
            name: helper.np_dtype_to_tensor_dtype(np.dtype(kind)) if kind else 0
            for name, kind in types.items()
        }
        return replace(self, types={**self.types, **numbers})


def tensor_kinds(model: ModelProto) -> TensorKinds:
    """Infer the types and the shapes of all tensors of the main graph.

    Shapes that the file states are not believed, as some exporters state those of one run.
    """
    graph = model.graph
    bare = part_of(model, list(graph.node), list(graph.input), list(graph.output)).model
    named = {d.dim_param for value in graph.input for d in value.type.tensor_type.shape.dim}
    for inner in walk(bare.graph):
        values = [
            *inner.output,
            *inner.value_info,
            *(inner.input if inner is not bare.graph else ()),
        ]
        for value in values:
            value.type.tensor_type.ClearField("shape")
    try:
        inferred = shape_inference.infer_shapes(bare, data_prop=True).graph
    except Exception:  # what is not known is asked of ONNX Runtime
        inferred = bare.graph
    values = [*inferred.input, *inferred.value_info, *inferred.output]
    types = {value.name: _type(value.type) for value in values if value.HasField("type")}
    fixed = {value.name for value in values if _is_fixed(value, named)}
    return TensorKinds(types, frozenset(fixed))


def _type(kind: TypeProto) -> int:
    return kind.tensor_type.elem_type if kind.HasField("tensor_type") else 0


def _is_fixed(value: ValueInfoProto, named: set[str]) -> bool:
    """Whether each axis has a size, or one that an input has, too."""
    kind = value.type
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return False
    return all(
        d.HasField("dim_value") or (d.dim_param != "" and d.dim_param in named)
        for d in kind.tensor_type.shape.dim
    )

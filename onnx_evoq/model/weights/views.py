"""The nodes between an initializer and what reads it as a weight, as views of its values.

These are Identity, Cast, Transpose, Reshape, Squeeze, Unsqueeze and Flatten.
"""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
from onnx import NodeProto, TensorProto, helper

from onnx_evoq.model.graph import attribute, is_standard
from onnx_evoq.model.tensors import array_of
from onnx_evoq.quantize import View

_KEEPING = {"Identity", "Cast"}
_VIEWS = {*_KEEPING, "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten"}
_MOST_VALUES = 1 << 24  # of a weight whose axes are looked for behind a change of its shape


def path_to_initializer(
    name: str, producers: Mapping[str, NodeProto], tensors: Mapping[str, TensorProto]
) -> tuple[str, list[NodeProto]] | None:
    """The initializer that `name` is a view of, and the nodes from it to `name`, in order.

    Args:
        name: of any tensor.
        producers: the node that gives each tensor.
        tensors: the initializers by name.

    Returns:
        None if the tensor is no view of an initializer.
    """
    nodes: list[NodeProto] = []
    while name not in tensors:
        node = producers.get(name)
        if node is None or node.op_type not in _VIEWS or not is_standard(node):
            return None
        nodes.insert(0, node)
        name = node.input[0]
    return name, nodes


def views_of(
    nodes: Sequence[NodeProto], dims: Sequence[int], constants: Mapping[str, TensorProto]
) -> tuple[View, ...] | None:
    """What nodes do to a tensor, None if a shape is no constant.

    Args:
        nodes: as `path_to_initializer` gives them.
        dims: the shape of the initializer.
        constants: the model's constants by name.
    """
    shape, views = tuple(dims), list[View]()
    for node in nodes:
        if node.op_type in _KEEPING:
            continue
        axes = tuple(range(len(shape)))
        if node.op_type == "Transpose":
            axes = _permutation(node, len(shape))
            shape = tuple(shape[axis] for axis in axes)
        else:
            changed = _shape_after(node, shape, constants)
            if changed is None or prod(changed) != prod(shape):
                return None
            shape = changed
        views.append(View(axes, shape))
    return tuple(views)


def axis_before(views: Sequence[View], dims: Sequence[int], axis: int) -> int | None:
    """The axis of a tensor that is `axis` of its last view; None if it is none.

    Example:
        >>> axis_before([View((1, 0), (4, 3))], [3, 4], 0)
        1
    """
    shapes = [tuple(dims), *(view.shape for view in views)]
    pairs = list(zip(views, shapes[:-1], strict=True))
    if all(view.shape == tuple(before[k] for k in view.axes) for view, before in pairs):
        for view in reversed(views):
            axis = view.axes[axis]
        return axis
    if prod(dims) > _MOST_VALUES:
        return None
    along = np.arange(shapes[-1][axis], dtype=np.int32)
    marks = along.reshape([-1 if k == axis else 1 for k in range(len(shapes[-1]))])
    marks = np.broadcast_to(marks, shapes[-1])
    for view, before in reversed(pairs):
        marks = view.undone(marks, before)
    for own, size in enumerate(dims):
        others = tuple(0 if k != own else slice(None) for k in range(len(dims)))
        if size == len(along) and np.array_equal(marks[others], along):
            expected = along.reshape([-1 if k == own else 1 for k in range(len(dims))])
            return own if (marks == expected).all() else None
    return None


def _shape_after(
    node: NodeProto, shape: tuple[int, ...], constants: Mapping[str, TensorProto]
) -> tuple[int, ...] | None:
    """The shape after a node that changes nothing but that."""
    if node.op_type == "Flatten":
        axis = int(attribute(node, "axis", 1))
        return prod(shape[:axis]), prod(shape[axis:])
    given = _numbers(node, constants)
    if node.op_type == "Reshape" and given:
        kept = [n or (0 if attribute(node, "allowzero", 0) else s)
                for n, s in zip(given, (*shape, *given), strict=False)]  # fmt: skip
        known = prod(n for n in kept if n >= 0)
        return tuple(n if n >= 0 else prod(shape) // max(known, 1) for n in kept)
    if node.op_type == "Unsqueeze" and given is not None:
        rank = len(shape) + len(given)
        new = {axis % rank for axis in given}
        old = iter(shape)
        return tuple(1 if axis in new else next(old) for axis in range(rank))
    if node.op_type == "Squeeze":
        gone = {axis % len(shape) for axis in given or ()}
        if given is None:
            gone = {axis for axis, size in enumerate(shape) if size == 1}
        return tuple(size for axis, size in enumerate(shape) if axis not in gone)
    return None


def _numbers(node: NodeProto, constants: Mapping[str, TensorProto]) -> list[int] | None:
    """The shape or the axes that a node is given; None if it is given none that are constant."""
    if len(node.input) > 1 and node.input[1]:
        tensor = constants.get(node.input[1])
        return None if tensor is None else [int(n) for n in array_of(tensor).ravel()]
    return next((list(a.ints) for a in node.attribute if a.name == "axes"), None)


def _permutation(node: NodeProto, rank: int) -> tuple[int, ...]:
    for candidate in node.attribute:
        if candidate.name == "perm":
            return tuple(helper.get_attribute_value(candidate))
    return tuple(reversed(range(rank)))

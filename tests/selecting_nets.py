"""Small models whose outputs cannot be compared, or not alone: what they give is selected."""

from collections.abc import Sequence

import numpy as np
from graphs import model_of, node, random
from onnx import ModelProto, NodeProto, TensorProto, helper

ML = "ai.onnx.ml"


def _int64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def detector() -> ModelProto:
    """x (1, 3, 8, 8) -> boxes (1, 16, 4) and scores (1, 2, 16) -> the rows y (k, 4) that NMS keeps.

    The boxes of "kept" come from a view of them, "flat".
    """
    nodes = [
        node("Conv", ["x", "w", "b"], ["map"], strides=[2, 2]),
        node("Reshape", ["map", "six"], ["columns"]),
        node("Transpose", ["columns"], ["rows"], perm=[0, 2, 1]),
        node("Slice", ["rows", "zero", "four", "two"], ["boxes"]),
        node("Slice", ["columns", "four", "all", "one"], ["logits"]),
        node("Sigmoid", ["logits"], ["scores"]),
        node("NonMaxSuppression", ["boxes", "scores", "most", "iou", "least"], ["selected"]),
        node("Slice", ["selected", "two", "all", "one"], ["column"]),
        node("Squeeze", ["column", "one"], ["index"]),
        node("Squeeze", ["boxes", "zero"], ["flat"]),
        node("Gather", ["flat", "index"], ["y"], axis=0),
    ]
    constants = {
        "w": random(6, 3, 2, 2), "b": random(6, seed=1), "six": _int64(1, 6, 16),
        "zero": _int64(0), "one": _int64(1), "two": _int64(2), "four": _int64(4),
        "all": _int64(99), "most": _int64(10), "iou": np.float32([0.9]),
        "least": np.float32([0.5]),
    }  # fmt: skip
    return model_of(nodes, {"x": [1, 3, 8, 8]}, {"y": ["k", 4]}, constants)


def _typed(model: ModelProto, **kinds: object) -> ModelProto:
    """The model with outputs of other types, in its order."""
    for output in model.graph.output:
        if output.name in kinds:
            output.type.CopyFrom(kinds[output.name])  # type: ignore[arg-type]
    model.opset_import.append(helper.make_opsetid(ML, 3))
    return model


def _string() -> object:
    return helper.make_tensor_type_proto(TensorProto.STRING, None)


def _maps() -> object:
    value = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    return helper.make_sequence_type_proto(helper.make_map_type_proto(TensorProto.INT64, value))


def classifier(*, strings: bool = False) -> ModelProto:
    """x (n, 4) -> a label, as scikit-learn gives it, and a map of probabilities per sample."""
    nodes: list[NodeProto] = [
        node("MatMul", ["x", "first"], ["a"]),
        node("Relu", ["a"], ["h"]),
        node("MatMul", ["h", "second"], ["scores"]),
        node("Softmax", ["scores"], ["probabilities"], axis=1),
        node("ArgMax", ["probabilities"], ["best"], axis=1, keepdims=0),
        node("ZipMap", ["probabilities"], ["maps"], domain=ML, classlabels_int64s=[0, 1, 2]),
    ]
    if strings:
        names = {"keys_int64s": [0, 1, 2], "values_strings": ["a", "b", "c"]}
        nodes.append(node("LabelEncoder", ["best"], ["label"], domain=ML, **names))
    else:
        nodes.append(node("Identity", ["best"], ["label"]))
    model = model_of(
        nodes, {"x": ["n", 4]}, {"label": ["n"], "maps": None},
        {"first": random(4, 6), "second": random(6, 3, seed=1)}, dtypes={"label": "int64"},
    )  # fmt: skip
    return _typed(model, maps=_maps(), **({"label": _string()} if strings else {}))


def two_stages() -> ModelProto:
    """x (n, 4) -> h (n, 6), whose rows of a positive sum alone reach a second layer, "head"."""
    nodes = [
        node("MatMul", ["x", "first"], ["h"]),
        node("ReduceSum", ["h", "one"], ["sums"], keepdims=0),
        node("Greater", ["sums", "zero"], ["chosen"]),
        node("Compress", ["h", "chosen"], ["some"], axis=0),
        node("MatMul", ["some", "head"], ["y"]),
    ]
    constants = {
        "first": random(4, 6), "head": random(6, 3, seed=1), "one": _int64(1),
        "zero": np.float32(0),
    }  # fmt: skip
    return model_of(nodes, {"x": ["n", 4]}, {"y": None}, constants)


def with_outputs_of(
    nodes: Sequence[NodeProto], outputs: dict[str, str], **constants: np.ndarray
) -> ModelProto:
    """x (n, 4) -> h = x w (n, 6) and what nodes make of it, with outputs of some types."""
    return model_of(
        [node("MatMul", ["x", "w"], ["h"]), *nodes], {"x": ["n", 4]}, dict.fromkeys(outputs),
        {"w": random(4, 6), **constants}, dtypes=outputs,
    )  # fmt: skip

"""What operators do with the values and the shapes of their inputs.

Only what differs from the usual is listed. Usually the values of an output depend on the values of
all inputs, its shape on the shapes of all inputs, and both change little if the inputs do.
"""

from collections.abc import Mapping

from onnx import AttributeProto, NodeProto, TensorProto

FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE}  # that NumPy has

# The inputs whose values say what shape the output has, or how many rows.
_SHAPE_INPUTS: Mapping[str, frozenset[int]] = {
    op_type: frozenset(positions)
    for op_type, positions in {
        "AffineGrid": (1,),
        "CenterCropPad": (1,),
        "Col2Im": (1, 2),
        "Compress": (1,),
        "ConstantOfShape": (0,),
        "CropAndResize": (3,),
        "DFT": (1,),
        "Expand": (1,),
        "MaxUnpool": (2,),
        "NonMaxSuppression": range(5),
        "NonZero": (0,),
        "OneHot": (1,),
        "Pad": (1,),
        "Range": (0, 1, 2),
        "Reshape": (1,),
        "Resize": (2, 3),
        "Slice": (1, 2, 3, 4),
        "Split": (1,),
        "SplitToSequence": (1,),
        "STFT": (1, 3),
        "StringSplit": (0,),
        "Tile": (1,),
        "TopK": (1,),
        "Unique": (0,),
        "Upsample": (1,),
    }.items()
}

# The inputs that say which values of the others are taken, or where they go.
_INDEX_INPUTS: Mapping[str, frozenset[int]] = {
    op_type: frozenset(positions)
    for op_type, positions in {
        "ArrayFeatureExtractor": (1,),
        "Compress": (1,),
        "Gather": (1,),
        "GatherElements": (1,),
        "GatherND": (1,),
        "RoiAlign": (2,),
        "Scatter": (1,),
        "ScatterElements": (1,),
        "ScatterND": (1,),
        "SequenceAt": (1,),
        "SequenceErase": (1,),
        "SequenceInsert": (2,),
        "Slice": (1, 2, 3, 4),
    }.items()
}

# The only input that the shape of the output depends on.
_SHAPE_OF: Mapping[str, int] = {
    "Scatter": 0, "ScatterElements": 0, "ScatterND": 0, "TensorScatter": 0,
}  # fmt: skip

# Their outputs jump where a small change of an input passes a threshold, or changes an order.
STEPS = {
    "And", "ArgMax", "ArgMin", "Bernoulli", "Binarizer", "CategoryMapper", "Ceil",
    "Equal", "Floor", "Greater", "GreaterOrEqual", "Hardmax", "IsInf", "IsNaN", "LabelEncoder",
    "Less", "LessOrEqual", "Mod", "Multinomial", "NonMaxSuppression", "NonZero", "Not",
    "OneHotEncoder", "Or", "Round", "Sign", "TopK", "TreeEnsemble", "TreeEnsembleClassifier",
    "TreeEnsembleRegressor", "Unique", "Xor",
}  # fmt: skip

# From what they make, what they read can be had again; from a Softmax up to a constant.
_INVERTIBLE = {
    "Cast", "Flatten", "Identity", "LogSoftmax", "Normalizer", "Reshape", "Sigmoid", "Softmax",
    "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip

_KNOWN_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")


def shape_inputs(node: NodeProto) -> frozenset[int]:
    """The positions of the inputs whose values say what shape the outputs have."""
    return _SHAPE_INPUTS.get(node.op_type, frozenset())


def index_inputs(node: NodeProto) -> frozenset[int]:
    """The positions of the inputs that say which values are taken, or where they go."""
    return _INDEX_INPUTS.get(node.op_type, frozenset())


def passes_shape(node: NodeProto, position: int) -> bool:
    """Whether the shape of an output depends on the shape of the input at a position."""
    only = _SHAPE_OF.get(node.op_type)
    return position == only if only is not None else not reduces_all(node)


def reduces_all(node: NodeProto) -> bool:
    """Whether a node reduces all axes, whatever their sizes."""
    if not node.op_type.startswith("Reduce"):
        return False
    chosen = any(entry.name == "axes" for entry in node.attribute) or len(node.input) > 1
    unchanged = any(e.name == "noop_with_empty_axes" and e.i for e in node.attribute)
    return not chosen and not unchanged


def casts_to_steps(node: NodeProto) -> bool:
    """Whether a node turns floats into whole numbers, flags or strings."""
    if node.op_type != "Cast":
        return False
    kinds = [e.i for e in node.attribute if e.name == "to" and e.type == AttributeProto.INT]
    return bool(kinds) and kinds[0] not in {*FLOATS, TensorProto.BFLOAT16}


def is_invertible(node: NodeProto) -> bool:
    """Whether what a node reads can be had from what it makes."""
    return node.op_type in _INVERTIBLE and is_known(node) and not casts_to_steps(node)


def is_known(node: NodeProto) -> bool:
    """Whether the operator is one of ONNX or of ONNX Runtime, and not a custom one."""
    return node.domain in _KNOWN_DOMAINS

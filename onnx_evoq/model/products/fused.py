"""What a node does with a matrix product by itself, so that the product is no tensor of the model.

1. FusedConv and FusedGemm may apply an activation, and FusedConv may add a tensor before.
2. Attention goes on with queries, keys and values, MoE with what each expert gives.
3. Gemm and FusedGemm add their third input.
"""

from onnx import NodeProto, helper

from onnx_evoq.model.graph import attribute, is_standard

_INNER_PRODUCTS = {"Attention", "MoE"}
# The last input that is added; the first one is the third input.
_LAST_TERM = {"Conv": 2, "ConvTranspose": 2, "FusedConv": 3, "Gemm": 2, "FusedGemm": 2}
# The attributes that FusedConv gives as a list.
_PARAMETERS = {"LeakyRelu": ("alpha",), "Clip": ("min", "max"), "HardSigmoid": ("alpha", "beta")}


def has_inner_product(node: NodeProto) -> bool:
    """Whether the matrix product is one of many steps of a node."""
    return not is_standard(node) and node.op_type in _INNER_PRODUCTS


def goes_on(node: NodeProto) -> bool:
    """Whether a node's output is not that of its matrix product, a bias included."""
    adds_more = bool(added_terms(node)[1:])
    return has_inner_product(node) or fused_activation(node) is not None or adds_more


def added_terms(node: NodeProto) -> list[str]:
    """The inputs that a node adds to its matrix product, a bias among them."""
    last = _LAST_TERM.get(node.op_type, 1)
    return [name for name in node.input[2 : last + 1] if name]


def scales_terms(node: NodeProto) -> bool:
    """Whether a node multiplies what it adds by a number."""
    return node.op_type in ("Gemm", "FusedGemm") and attribute(node, "beta", 1) != 1


def fused_activation(node: NodeProto) -> NodeProto | None:
    """The activation within a FusedConv or a FusedGemm as a node; None for none."""
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    kind = given.get("activation", b"")
    if is_standard(node) or not isinstance(kind, bytes) or not kind:
        return None
    name = kind.decode()
    values = {
        parameter.removeprefix("activation_"): value
        for parameter, value in given.items()
        if parameter in ("activation_alpha", "activation_beta")
    }
    names = _PARAMETERS.get(name, ())
    values.update(zip(names, given.get("activation_params", ()), strict=False))
    return helper.make_node(name, ["product"], ["output"], **values)

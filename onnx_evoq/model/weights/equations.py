"""The equation of a matrix product: which axes of its input, its weight and its output go together.

It is an equation of einsum, ``input,weight->output``, as `quantize.Dense` reads it. A letter of the
weight whose axis has one entry is in no other term, since the axis broadcasts.
"""

from collections.abc import Sequence
from string import ascii_letters

from onnx import NodeProto, helper

from onnx_evoq.model.graph import attribute, is_standard

_REST = "..."
_BATCH = "abcdefghij"  # letters for the axes before the last two
_PRODUCTS = {"Gemm", "MatMul", "FusedGemm", "FusedMatMul", "TransposeMatMul"}


def equation_of(node: NodeProto, position: int, dims: Sequence[int]) -> str | None:
    """The equation of a node that multiplies a weight; None if it is no matrix product.

    Example:
        >>> equation_of(helper.make_node("MatMul", ["x", "w"], ["y"]), 1, [8, 4])
        '...k,kn->...n'

    Args:
        node: the node.
        position: which of its inputs the weight is.
        dims: the weight's shape.
    """
    if node.op_type == "Einsum":
        return _einsum(node, position, dims)
    if node.op_type in _PRODUCTS and position <= 1:
        return _product(node, position, dims)
    if is_standard(node):
        return None
    if node.op_type == "Attention" and position == 1 and len(dims) == 2:
        return "...k,kn->...n"  # of queries, keys and values together
    if node.op_type == "MoE" and position in (2, 6) and len(dims) == 3:
        return "...k,enk->...en"  # the first products of all experts
    return None


def channel_axis(equation: str, dims: Sequence[int]) -> int | None:
    """The axis of a weight whose entries are output channels, the longest if there are several.

    Example:
        >>> channel_axis("...hmk,hkn->...hmn", [3, 8, 4]), channel_axis("...k,k->...", [8])
        (2, None)
    """
    factors, output = equation.split("->")
    first, weight = factors.split(",")
    axes = [axis for axis, letter in enumerate(weight) if letter in output and letter not in first]
    axes = axes or [axis for axis, letter in enumerate(weight) if letter in output]
    return max(axes, key=lambda axis: (dims[axis], axis)) if axes and len(dims) > 1 else None


def contracts(node: NodeProto, position: int) -> bool:
    """Whether an Einsum sums products over an axis of one of its inputs."""
    terms, output = _terms(node)
    others = "".join(term for index, term in enumerate(terms) if index != position)
    letters = terms[position].replace(_REST, "") if position < len(terms) else ""
    return any(letter in others and letter not in output for letter in letters)


def _product(node: NodeProto, position: int, dims: Sequence[int]) -> str | None:
    """The equation of a MatMul, a Gemm or a product that is fused with a transposition."""
    left = position == 0  # whether the weight is
    of_weight, of_other = ("A", "B") if left else ("B", "A")

    def flag(name: str) -> bool:
        return bool(attribute(node, name, 0))

    if len(dims) == 1:
        turned = any(flag(f"trans{kind}") for kind in ("A", "B", "BatchA", "BatchB"))
        return None if turned else "...kn,k->...n" if left else "...k,k->..."
    batch = _BATCH[: len(dims) - 2]
    if len(batch) != len(dims) - 2:
        return None
    turned = flag(f"trans{of_other}") or flag(f"transBatch{of_other}")
    if not left and not batch and not turned:
        other, output = "...k", "...n"
    else:
        other = _turned("kn" if left else "mk", batch, of_other, node, _REST)
        output = f"{_REST}{batch}mn"
    weight = _turned("mk" if left else "kn", batch, of_weight, node)
    single = [letter for letter, size in zip(weight, dims, strict=True) if size == 1]
    for letter in single:
        if letter in batch:
            weight = weight.replace(letter, letter.upper())
    return f"{other},{weight}->{output}"


def _turned(matrix: str, batch: str, kind: str, node: NodeProto, rest: str = "") -> str:
    """The axes of a factor as they are before the node transposes it."""
    if attribute(node, f"trans{kind}", 0):
        matrix = matrix[::-1]
    if attribute(node, f"transBatch{kind}", 0):
        return f"{matrix[0]}{rest}{batch}{matrix[1]}"
    return f"{rest}{batch}{matrix}"


def _einsum(node: NodeProto, position: int, dims: Sequence[int]) -> str | None:
    """The equation of an Einsum of two tensors, if it is a matrix product."""
    terms, output = _terms(node)
    if len(terms) != 2 or position > 1:
        return None
    other, weight = terms[1 - position], terms[position]
    free = [letter for letter in ascii_letters if letter not in "".join((*terms, output))]
    letters = weight.replace(_REST, "")
    if _REST in weight:  # its axes there are the last ones that "..." stands for in the others
        named = "".join(free[: len(dims) - len(letters)])
        free = free[len(named) :]
        weight = weight.replace(_REST, named)
        in_output = f"{_REST}{named}" if _REST in other else named
        other, output = other.replace(_REST, f"{_REST}{named}"), output.replace(_REST, in_output)
    named_twice = any(len(set(t) - {"."}) < len(t.replace(_REST, "")) for t in (other, weight))
    if named_twice or len(weight) != len(dims) or (_REST in other) != (_REST in output):
        return None
    for letter, size in zip(weight, dims, strict=True):
        if size == 1 and letter in output and letter in other:
            weight = weight.replace(letter, free.pop())
    summed = [letter for letter in other if letter != "." and letter not in output]
    alone = [n for each, n in zip(weight, dims, strict=True) if each not in other + output]
    product = summed and set(summed) <= set(weight) and all(n == 1 for n in alone)
    broadcast = any(n == 1 for each, n in zip(weight, dims, strict=True) if each in summed)
    return f"{other},{weight}->{output}" if product and not broadcast else None


def _terms(node: NodeProto) -> tuple[list[str], str]:
    """The terms of the inputs of an Einsum, and that of its output."""
    given = next((a for a in node.attribute if a.name == "equation"), None)
    equation = "" if given is None else helper.get_attribute_value(given).decode()
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    if not arrow:  # the letters that are there once, in order
        once = sorted(letter for letter in ascii_letters if inputs.count(letter) == 1)
        output = (_REST if _REST in inputs else "") + "".join(once)
    return inputs.split(","), output

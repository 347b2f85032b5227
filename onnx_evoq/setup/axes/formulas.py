"""Sizes of axes as formulas, such as ``past + sequence`` or ``floor(n / 2)``."""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping

_OPERATORS: dict[type, Callable[[int, int], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "ceil": math.ceil, "ceiling": math.ceil, "floor": math.floor, "max": max, "min": min,
}  # fmt: skip
_NAME = re.compile(r"[A-Za-z_][\w.]*")


def names_in(text: str) -> set[str]:
    """The names that a formula reads; the text itself if it is no formula."""
    if _parsed(text) is None:
        return {text}
    return {name for name in _NAME.findall(text) if name.lower() not in _FUNCTIONS}


def value_of(text: str, sizes: Mapping[str, int]) -> int | None:
    """The value of a formula; None if it is none, or if a size in it is not known.

    Args:
        text: the formula.
        sizes: by the name of an axis.

    Example:
        >>> value_of("past + 2 * n", {"past": 3, "n": 4})
        11
    """
    parsed = _parsed(text)
    if parsed is None:
        return None
    known = {_plain(name): size for name, size in sizes.items()}
    try:
        return int(_computed(parsed, known))
    except (KeyError, ZeroDivisionError, TypeError):
        return None


def _parsed(text: str) -> ast.expr | None:
    """The formula as a tree; None if the text is no formula."""
    try:
        tree = ast.parse(_NAME.sub(lambda found: _plain(found[0]), text).strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError):
        return None
    is_formula = isinstance(tree.body, ast.BinOp | ast.Call)
    known = (ast.Expression, ast.BinOp, ast.Call, ast.Name, ast.Constant, ast.Load, ast.operator)
    return tree.body if is_formula and all(isinstance(n, known) for n in ast.walk(tree)) else None


def _plain(name: str) -> str:
    """A name that Python's grammar knows as one."""
    return name.replace(".", "_dot_")


def _computed(tree: ast.expr, sizes: Mapping[str, int]) -> float:
    """The value of a tree.

    Raises:
        KeyError: a size or an operation is not known.
    """
    if isinstance(tree, ast.BinOp):
        function = _OPERATORS[type(tree.op)]
        return function(*(int(_computed(side, sizes)) for side in (tree.left, tree.right)))
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
        return _FUNCTIONS[tree.func.id.lower()](*(_computed(a, sizes) for a in tree.args))
    if isinstance(tree, ast.Name):
        return sizes[tree.id]
    if isinstance(tree, ast.Constant) and isinstance(tree.value, int):
        return tree.value
    raise KeyError(ast.dump(tree))

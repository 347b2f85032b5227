"""What can be broken in a file of Python: small changes of its logic, each of a few bytes.

A change replaces a piece of the text, at the positions that the parser gives, and leaves the rest
byte for byte. Comparisons, arithmetic, `and`/`or`, `not`, signs, numbers, True/False, conditions,
min/max and any/all, returned values, break/continue, bounds of slices, axes, constant keyword
arguments; calls, augmented assignments and assignments into an array are left out.

Not broken is what is no logic, or cannot show: strings (so messages and docstrings), whole raise
and assert statements, annotations and aliases of types, imports, decorators, `__repr__`, what
runs for type checkers only, and the keyword arguments of `SILENT`. Nor are settings: a plain number
that a module gives an UPPER_CASE name. Most of them trade speed for quality, and tests hold for
others as well. -1 loses its sign but is never -2, which means the same to `reshape`.
"""

import ast
import re
import warnings
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

Change = tuple[int, int, str]  # from byte, to byte, what stands there instead

COMPARISONS = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==",
    "is": "is not", "is not": "is", "in": "not in", "not in": "in",
}  # fmt: skip
ARITHMETIC = {
    "+": "-", "-": "+", "*": "/", "/": "*", "//": "*", "%": "//", "**": "*",
    "&": "|", "|": "&", "<<": ">>", ">>": "<<",
}  # fmt: skip
NAMES = {
    "min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum",
    "argmin": "argmax", "argmax": "argmin", "any": "all", "all": "any",
}  # fmt: skip

SILENT = {"copy", "daemon", "encoding", "kind", "optimize", "stacklevel", "strict"}
TYPE_ARGUMENT = {"cast": 0, "isinstance": 1, "issubclass": 1}  # function -> which is a type

_ALIAS = re.compile(r"_?[A-Z]\w*[a-z]\w*")  # Floats, and no SETTING
_SETTING = re.compile(r"_?[A-Z][A-Z0-9_]*")


@dataclass(frozen=True, order=True)
class Mutant:
    """One change of a source.

    Attributes:
        start: the first byte that is replaced.
        end: the byte behind the last.
        new: what stands there instead.
        line: where, from 1.
    """

    start: int
    end: int
    new: str
    line: int

    def applied(self, source: bytes) -> bytes:
        """The broken source."""
        return source[: self.start] + self.new.encode() + source[self.end :]

    def lines(self, source: bytes) -> tuple[str, str]:
        """The line before and after, without indentation."""
        both = (source, self.applied(source))
        before, after = (text.splitlines()[self.line - 1].decode().strip() for text in both)
        return before, after


class Text:
    """The bytes of a source, by the parser's positions."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def line(self, byte: int) -> int:
        """The line of a byte, from 1."""
        return bisect_right(self._starts, byte)

    def start(self, node: ast.AST) -> int:
        """The first byte of a node."""
        return self._byte(node.lineno, node.col_offset)  # type: ignore[attr-defined]

    def end(self, node: ast.AST) -> int:
        """The byte behind a node."""
        return self._byte(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def _byte(self, line: int, column: int) -> int:
        return self._starts[line - 1] + column

    def operator(self, left: ast.AST, right: ast.AST) -> tuple[int, int, str]:
        """What stands between two operands, but for parentheses and comments: from, to, which."""
        first, last = self.end(left), self.start(right)
        words = [
            word
            for word in re.finditer(rb"#[^\r\n]*|[^\s()\\#]+", self.source[first:last])
            if not word[0].startswith(b"#")
        ]
        which = " ".join(word[0].decode() for word in words)
        return first + words[0].start(), first + words[-1].end(), which


def mutants(source: bytes) -> list[Mutant]:
    """All changes of a source, in order; some may turn out not to compile (see `differs`)."""
    text = Text(source)
    changes = {change for node in _logic(ast.parse(source), True) for change in _of(node, text)}
    return sorted(Mutant(start, end, new, text.line(start)) for start, end, new in changes)


def differs(source: bytes, mutant: Mutant) -> bool:
    """Whether the broken source compiles, and means something else to the parser."""
    broken = mutant.applied(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(broken, "broken", "exec")
        except (SyntaxError, ValueError):
            return False
        return ast.dump(ast.parse(broken)) != ast.dump(ast.parse(source))


def _logic(node: ast.AST, module: bool = False) -> Iterator[ast.AST]:
    """A node and all below it that may be broken; `module`: whether the node is the module."""
    yield node
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=1)):
            return
        case ast.keyword() if _axis(node) is not None:
            return
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for index, child in enumerate(value if isinstance(value, list) else [value]):
            if (
                isinstance(child, ast.AST)
                and not _no_logic(child)
                and not (module and _fixed(child))
                and not (field == "args" and _called(node) and _is_type(node, index))
            ):
                yield from _logic(child)


def _no_logic(node: ast.AST) -> bool:
    match node:
        case ast.Raise() | ast.Assert() | ast.Import() | ast.ImportFrom() | ast.JoinedStr():
            return True
        case ast.FunctionDef(name=name):
            return name == "__repr__"
        case ast.If(test=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name == "TYPE_CHECKING"
        case ast.keyword(arg=name):
            return name in SILENT
    return type(node).__name__ == "TypeAlias"  # since Python 3.12


def _fixed(node: ast.AST) -> bool:
    """Whether a statement of a module is an alias of a type, or a setting."""
    match node:
        case ast.Assign(targets=[target], value=value) | ast.AnnAssign(target=target, value=value):
            return value is None or _names(target, _ALIAS) or _is_setting(target, value)
    return False


def _is_setting(target: ast.AST, value: ast.AST) -> bool:
    """Whether numbers are named: NAME = number, or ONE, OTHER = number, number."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return all(map(_is_setting, target.elts, value.elts))
    plain = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)
    return _names(target, _SETTING) and all(isinstance(each, plain) for each in ast.walk(value))


def _names(target: ast.AST, pattern: re.Pattern[str]) -> bool:
    return isinstance(target, ast.Name) and pattern.fullmatch(target.id) is not None


def _called(node: ast.AST) -> str | None:
    """The name of the function, if the node is a call of one."""
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None


def _is_type(call: ast.AST, index: int) -> bool:
    return TYPE_ARGUMENT.get(_called(call) or "") == index


def _axis(node: ast.AST) -> int | None:
    """The number of axis=number; it becomes one that is likely to exist, and no other way."""
    match node:
        case ast.keyword(arg="axis", value=ast.Constant(value=int(axis))):
            return axis
        case ast.keyword(
            arg="axis", value=ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(axis)))
        ):
            return -axis
    return None


def _of(node: ast.AST, text: Text) -> Iterator[Change]:
    """The changes of one node."""
    match node:
        case ast.Compare(left=left, comparators=others):
            for one, other in pairwise([left, *others]):
                yield from _swapped(one, other, COMPARISONS, text)
        case ast.BoolOp(values=values):
            for one, other in pairwise(values):
                yield from _swapped(one, other, {"and": "or", "or": "and"}, text)
        case ast.BinOp(left=left, right=right) if not (_is_string(left) or _is_string(right)):
            yield from _swapped(left, right, ARITHMETIC, text)
        case ast.UnaryOp(op=op) if not isinstance(op, ast.UAdd):
            yield _without_operator(node, text)
        case ast.Constant(value=value):
            if isinstance(value, bool):
                yield text.start(node), text.end(node), str(not value)
            elif isinstance(value, int | float):
                yield text.start(node), text.end(node), repr(value + 1)
        case ast.Slice(lower=lower, upper=upper, step=step):
            for bound in (lower, upper, step):
                if bound is not None:
                    yield text.start(bound), text.end(bound), ""
        case ast.keyword(value=value):
            yield from _of_keyword(node, value, text)
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in NAMES:
            yield text.end(node) - len(name), text.end(node), NAMES[name]
        case ast.If(test=test) | ast.IfExp(test=test):
            yield from _negated(test, text)
        case ast.comprehension(ifs=tests):
            for test in tests:
                yield from _negated(test, text)
        case _:
            yield from _of_statement(node, text)


def _of_statement(node: ast.AST, text: Text) -> Iterator[Change]:
    match node:
        case ast.Break() | ast.Continue():
            new = "continue" if isinstance(node, ast.Break) else "break"
            yield text.start(node), text.end(node), new
        case ast.Return(value=value):
            # Of True and False the other is tried, and None is mostly as good as False.
            if value and not (isinstance(value, ast.Constant) and value.value in (None, 0, 1)):
                yield text.start(value), text.end(value), "None"
        case ast.Expr(value=ast.Call()) | ast.Assign(targets=[ast.Subscript()]):
            yield text.start(node), text.end(node), "pass"
        case ast.AugAssign(target=target, value=value):
            yield text.start(node), text.end(node), "pass"
            swapped = {f"{one}=": f"{other}=" for one, other in ARITHMETIC.items()}
            yield from _swapped(target, value, swapped, text)


def _swapped(left: ast.AST, right: ast.AST, others: dict[str, str], text: Text) -> Iterator[Change]:
    """Another operator between two operands."""
    start, end, which = text.operator(left, right)
    if which in others:
        yield start, end, others[which]


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )


def _without_operator(node: ast.AST, text: Text) -> Change:
    """`x` for `not x`, `-x` and `~x`."""
    start = text.start(node)
    operator = re.compile(rb"not\s*|[-~]").match(text.source, start)
    assert operator is not None
    return start, operator.end(), ""


def _negated(test: ast.expr, text: Text) -> Iterator[Change]:
    """`not (test)`, unless a change of the test itself says the same."""
    match test:
        case ast.UnaryOp(op=ast.Not()):
            return
        case ast.Compare(ops=[op]) if not isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
            return
    start, end = text.start(test), text.end(test)
    yield start, end, f"not ({text.source[start:end].decode()})"


def _of_keyword(node: ast.keyword, value: ast.expr, text: Text) -> Iterator[Change]:
    """The argument is dropped with a comma of its own, if it is a constant; an axis is another."""
    core = value.operand if isinstance(value, ast.UnaryOp) else value
    if node.arg is None or not isinstance(core, ast.Constant):
        return
    start, end = text.start(node), text.end(node)
    behind = re.compile(rb"\s*,[ \t]*").match(text.source, end)
    before = re.search(rb",\s*\Z", text.source[:start])
    if behind is not None:
        yield start, behind.end(), ""
    else:
        yield (start if before is None else before.start()), end, ""
    axis = _axis(node)
    if axis is not None:
        yield text.start(value), text.end(value), str(axis - 1 if axis > 0 else axis + 1)

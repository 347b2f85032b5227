"""Write names, numbers and arrays as C99 that is also C++."""

import re
from collections.abc import Sequence

import numpy as np

from onnx_evoq.array_types import Array
from onnx_evoq.model.graph import unused_name

_LONGEST = 40  # of an identifier, before the ending of an array
_WIDTH = 100
_C_TYPES = {"int8": "int8_t", "int32": "int32_t", "float32": "float"}


def identifier(name: str, used: set[str]) -> str:
    """An identifier that looks like a name; it is added to `used`.

    Args:
        name: any text.
        used: the identifiers that there are.

    Example:
        >>> used = set()
        >>> identifier("/stem/Conv", used), identifier("stem.Conv", used), identifier("3", used)
        ('stem_Conv', 'stem_Conv_1', 'layer_3')
    """
    plain = re.sub(r"[^A-Za-z0-9]+", "_", name)[-_LONGEST:].strip("_")
    if not plain[:1].isalpha():
        plain = f"layer_{plain}".rstrip("_")
    return unused_name(plain, used)


def quoted(name: str) -> str:
    """A string literal.

    Example:
        >>> print(quoted('a "b"?'))
        "a \\"b\\"\\?"
    """
    return f'"{_escaped(name)}"'


def remark(text: str) -> str:
    """A text that may stand in a comment."""
    plain = _escaped(text).replace('\\"', '"').replace("\\?", "?")
    return plain.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")


def number(value: float | int) -> str:
    """A whole number, or a float32 that a compiler reads back to the bit.

    Example:
        >>> number(3), number(0.1)
        ('3', '1.00000001e-01f')
    """
    return str(value) if isinstance(value, int) else f"{np.float32(value):.8e}f"


def braces(values: Sequence[int]) -> str:
    """The initial values of a short array; at least one."""
    return "{" + ", ".join(str(value) for value in values or (0,)) + "}"


def array(name: str, values: Array) -> str:
    """The definition of a constant array of int8, int32 or float32, its last axis fastest."""
    kind = _C_TYPES[values.dtype.name]
    texts = [number(value) for value in values.reshape(-1).tolist()]
    columns = (_WIDTH - 3) // (2 + max(len(text) for text in texts))
    rows = (texts[start : start + columns] for start in range(0, len(texts), columns))
    body = ",\n".join("    " + ", ".join(row) for row in rows)
    return f"static const {kind} {name}[{len(texts)}] = {{\n{body}\n}};\n"


def _escaped(text: str) -> str:
    """A text in printable ASCII that has its meaning between quotation marks."""
    parts = []
    for byte in text.encode():
        letter = chr(byte)
        if letter in '"\\?':  # ?? begins a trigraph
            parts.append("\\" + letter)
        else:  # three octal digits, so that no digit behind them can belong to them
            parts.append(letter if 32 <= byte < 127 else f"\\{byte:03o}")
    return "".join(parts)

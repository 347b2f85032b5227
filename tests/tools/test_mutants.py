"""What can be broken in a source, and what is left alone."""

import pytest
from mutants import differs, mutants


def changed(source: str) -> set[str]:
    """All that a source of one line can become."""
    text = source.encode()
    return {each.applied(text).decode() for each in mutants(text) if differs(text, each)}


def test_each_operator_and_name_is_broken_by_itself() -> None:
    head = "def f(a, b): return "
    assert changed(head + "a + b if a < b else max(a, b)") == {
        head + "a - b if a < b else max(a, b)",
        head + "a + b if a <= b else max(a, b)",
        head + "a + b if not (a < b) else max(a, b)",
        head + "a + b if a < b else min(a, b)",
        head + "None",
    }


@pytest.mark.parametrize(
    ("source", "others"),
    [
        ("x = a == b", {"x = a != b"}),
        ("x = a is not b", {"x = a is b"}),
        ("x = a not in b", {"x = a in b"}),
        ("x = a < b <= c", {"x = a <= b <= c", "x = a < b < c"}),
        ("x = (a) * (b)", {"x = (a) / (b)"}),
        ("x = a @ b", set()),
        ("x = a and b or c", {"x = a or b or c", "x = a and b and c"}),
        ("x = not a", {"x = a"}),
        ("x = -a", {"x = a"}),
        ("x = 0.5", {"x = 1.5"}),
        ("x = -3", {"x = 3", "x = -4"}),
        ("x = -1", {"x = 1"}),
        ("x = 1e30", set()),  # one more is the same
        ("x = True", {"x = False"}),
        ("x += a", {"x -= a", "pass"}),
        ("x[a] = b", {"pass"}),
        ("f(a)", {"pass"}),
        ("x = a[b:c]", {"x = a[:c]", "x = a[b:]"}),
        ("x = a.max()", {"x = a.min()"}),
        ("x = f(a, b=True, c=d)", {"x = f(a, b=False, c=d)", "x = f(a, c=d)"}),
        ("x = f(a, b='c')", {"x = f(a)"}),
        ("x = f(axis=1)", {"x = f(axis=0)", "x = f()"}),
        ("x = f(axis=-1)", {"x = f(axis=0)", "x = f()"}),
        ("x = [a for a in b if a]", {"x = [a for a in b if not (a)]"}),
        ("while a: break", {"while a: continue"}),
        ("def f(): return False", {"def f(): return True"}),
    ],
)
def test_what_a_line_can_become(source: str, others: set[str]) -> None:
    assert changed(source) == others


@pytest.mark.parametrize(
    "source",
    [
        '"""One < 2."""',
        "def f() -> 'int': 'a + 1'",
        "x = f'{a + 1}'",
        "x = 'a' + b",
        "def f(a: 1 = b, *, c: d | 2): x: e[3] = g",
        "Floats = NDArray[a, 3]",
        "Number = a | b",
        "_SWEEPS = 8",
        "FEW, MANY = 3, 2**20",
        "__all__ = ['a']",
        "raise Error(a + 1)",
        "assert a < 1",
        "@f(1)\nclass A: a: b",
        "class A:\n    def __repr__(self): return a + b",
        "if TYPE_CHECKING: f(1)",
        "x = cast(a | b, c)",
        "x = isinstance(a, b | c)",
        "x = zip(a, b, strict=True)",
    ],
)
def test_what_is_no_logic_is_left_alone(source: str) -> None:
    assert changed(source) == set()


def test_a_tuple_of_numbers_in_a_module_is_logic() -> None:
    assert changed("CHANNELS = (1, 3)") == {"CHANNELS = (2, 3)", "CHANNELS = (1, 4)"}


def test_positions_are_exact_behind_letters_of_several_bytes() -> None:
    source = "# Größe\r\nx = 'ü'; y = a < b  # ß < 1\r\n".encode()
    (mutant,) = mutants(source)
    assert mutant.applied(source) == source.replace(b"a < b", b"a <= b")
    assert mutant.line == 2
    assert mutant.lines(source) == ("x = 'ü'; y = a < b  # ß < 1", "x = 'ü'; y = a <= b  # ß < 1")


def test_operators_are_found_among_parentheses_and_comments() -> None:
    source = b"x = (\n    (a)  # a + b\n    + (b)\n)\n"
    (mutant,) = mutants(source)
    assert mutant.applied(source) == source.replace(b"    + (b)", b"    - (b)")
    assert mutant.line == 3


def test_a_statement_of_several_lines_goes_as_a_whole() -> None:
    source = b"if a == b:\n    f(\n        c,\n    )\nd = e\n"
    gone = [each for each in mutants(source) if each.new == "pass"]
    assert [each.applied(source) for each in gone] == [b"if a == b:\n    pass\nd = e\n"]

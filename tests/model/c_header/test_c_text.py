"""Names, numbers and arrays as C."""

import re

import numpy as np
import pytest

from onnx_evoq.model.c_header.c_text import array, braces, identifier, number, quoted, remark


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("/blocks/blocks.0/Conv", "blocks_blocks_0_Conv"),
        ("onnx::Conv_106", "onnx_Conv_106"),
        ("__init", "init"),
        ("7", "layer_7"),
        ("c1", "c1"),
        ("größe", "gr_e"),
        ("::", "layer"),
        ("a" * 100 + "/tail", "a" * 35 + "_tail"),
    ],
)
def test_an_identifier_looks_like_its_name(name: str, expected: str) -> None:
    assert identifier(name, set()) == expected


def test_identifiers_are_unique() -> None:
    used = {"a_1"}
    assert [identifier(name, used) for name in ("a", "/a", "a.")] == ["a", "a_2", "a_3"]


def test_a_string_has_the_bytes_of_the_name() -> None:
    name = 'a"b\\c\n??/ \x011é%~\x7f'
    text = quoted(name)
    assert re.fullmatch(r'"[ -~]*"', text)
    assert "??" not in text
    octal = re.sub(r"\\([0-7]{3})", lambda found: f"\\x{int(found[1], 8):02x}", text[1:-1])
    plain = octal.replace("\\?", "?").encode("latin1").decode("unicode_escape")
    assert plain.encode("latin1").decode() == name


@pytest.mark.parametrize("name", ["a*/b", "a/*b", "/*/", "*/*/"])
def test_a_remark_neither_ends_a_comment_nor_begins_one(name: str) -> None:
    text = remark(name)
    assert "*/" not in text
    assert "/*" not in text


def test_a_remark_stays_readable() -> None:
    assert remark('Conv("x", y)?') == 'Conv("x", y)?'
    assert remark("a\nb") == "a\\012b"


def test_floats_are_read_back_to_the_bit() -> None:
    bits = np.random.default_rng(0).integers(0, 2**31 - 2**24, 1000, np.int32)
    values = [*bits.view(np.float32).tolist(), 0.0, -1.5, 2.0**-126, 3.4028234663852886e38]
    for value in values:
        text = number(value)
        assert text.endswith("f")
        assert np.float32(text[:-1]) == np.float32(value)
        assert "." in text  # else it would be a whole number with a suffix that those do not have


def test_an_array_has_its_type_and_its_values_in_order() -> None:
    text = array("a_codes", np.array([[-128, 127], [0, 5]], np.int8))
    assert text == "static const int8_t a_codes[4] = {\n    -128, 127, 0, 5\n};\n"
    text = array("a_bias", np.arange(10_000, 10_060, dtype=np.int32))
    rows = text.splitlines()[1:-1]
    assert len(rows) > 1
    assert 100 - len(" 10000,") < max(len(row) for row in rows) <= 100
    assert [int(value) for value in re.findall(r"\d+", " ".join(rows))] == list(range(10000, 10060))
    mixed = array("a", np.repeat(np.array([1, -128], np.int8), 100)).splitlines()
    assert max(len(row) for row in mixed) <= 100
    assert array("a", np.array([0.5], np.float32)).startswith("static const float a[1]")


def test_braces_hold_at_least_one_number() -> None:
    assert braces((1, 2)) == "{1, 2}"
    assert braces(()) == "{0}"

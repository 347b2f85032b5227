"""The types of options: the texts that they accept, their values, and the texts they refuse."""

from pathlib import Path
from typing import Any

import click
import pytest
from commands import misuse, received

from onnx_evoq import Data, Grid, Strategy, bars
from onnx_evoq.cli.options.option_types import (
    BITS_FOR,
    BYTES,
    CLUSTER,
    DURATION,
    NUMBERS,
    RANGE,
    SIDE,
)
from onnx_evoq.progress import silent


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0),
        ("10m", 600.0),
        ("2h", 7200.0),
        ("45", 45.0),
        ("0.5s", 0.5),
        ("1.5h", 5400.0),
        ("10 m", 600.0),
        (" 3S ", 3.0),
    ],
)
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize(
    ("text", "address"), [("none", None), ("None", None), ("tcp://none:1", "tcp://none:1")]
)
def test_no_cluster_has_a_name(text: str, address: str | None) -> None:
    assert CLUSTER.convert(text, None, None) == address


@pytest.mark.parametrize("text", ["none", "None", "NONE"])
def test_no_duration_is_no_limit(text: str) -> None:
    assert DURATION.convert(text, None, None) is None


@pytest.mark.parametrize("text", ["", "0", "0s", "-1s", "10d", "m", "1m30s", "nan", "inf", "1e3"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="not a duration like 90s, 10m or 2h"):
        DURATION.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0.5", (0.5,)), ("1,2,3", (1.0, 2.0, 3.0)), ("0.485, 0.456", (0.485, 0.456)), ("-1", (-1,))],
)
def test_numbers_are_separated_by_commas(text: str, numbers: tuple[float, ...]) -> None:
    assert NUMBERS.convert(text, None, None) == numbers


@pytest.mark.parametrize("text", ["", "a", "1,,2", "1;2", "1,"])
def test_what_is_no_list_of_numbers_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="not a list of numbers"):
        NUMBERS.convert(text, None, None)


@pytest.mark.parametrize(("text", "limits"), [("0,255", (0, 255)), ("-1,1", (-1, 1))])
def test_a_range_is_two_numbers(text: str, limits: tuple[float, float]) -> None:
    assert RANGE.convert(text, None, None) == limits


@pytest.mark.parametrize("text", ["1", "1,2,3", "2,1", "1,1", "nan,1", "low,high"])
def test_a_range_must_rise(text: str) -> None:
    with pytest.raises(click.BadParameter, match="not a range like 0,255"):
        RANGE.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "size"),
    [("224", 224), ("240x320", (240, 320)), ("240X320", (240, 320)), ("240,320", (240, 320))],
)
def test_a_size_is_a_side_or_height_and_width(text: str, size: int | tuple[int, int]) -> None:
    assert SIDE.convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "0", "-4", "2x", "x2", "2x3x4", "0x3", "1.5"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="not a size like 224 or 240x320"):
        SIDE.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("conv*=8", ("conv*", 8)),
        ("first=2", ("first", 2)),
        ("a=b=4", ("a=b", 4)),  # names of tensors may hold =
        ("block.1/conv:0=5", ("block.1/conv:0", 5)),
    ],
)
def test_bits_for_is_a_pattern_and_a_width(text: str, pair: tuple[str, int]) -> None:
    assert BITS_FOR.convert(text, None, None) == pair


@pytest.mark.parametrize("text", ["conv", "=8", "conv=", "conv=1", "conv=9", "conv=six", ""])
def test_what_is_no_pattern_and_width_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="not a pattern and a width from 2 to 8"):
        BITS_FOR.convert(text, None, None)


def test_a_converted_value_stays_as_it_is() -> None:
    # click converts defaults that were converted before
    assert BITS_FOR.convert(("conv*", 8), None, None) == ("conv*", 8)


@pytest.mark.parametrize(
    ("text", "count"),
    [("200MB", 200_000_000), ("1.5 GB", 1_500_000_000), ("64k", 64_000), ("10", 10), ("0", 0)],
)
def test_bytes_have_decimal_units(text: str, count: int) -> None:
    assert BYTES.convert(text, None, None) == count


@pytest.mark.parametrize("text", ["", "much", "-1MB", "2TB", "MB"])
def test_what_is_no_number_of_bytes_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="not a size like 500MB"):
        BYTES.convert(text, None, None)


# The file of options


def configured(
    model: Path, monkeypatch: pytest.MonkeyPatch, content: str, *options: object
) -> dict[str, Any]:
    """What optimize receives with a file of options."""
    path = model.with_name("evoq.toml")
    path.write_text(content)
    return received(monkeypatch, "optimize", model, "--config", path, *options)


@pytest.mark.parametrize(
    ("content", "name", "value"),
    [
        ("bits = 5", "bits", 5),
        ('time-budget = "1m"', "time_budget", 60.0),
        ("time-budget = 90", "time_budget", 90.0),
        ("mutation-rate = 0.5", "strategy", Strategy(mutation_rate=0.5)),
        ("mutation_rate = 0.5", "strategy", Strategy(mutation_rate=0.5)),
        ('scale = "float"\nkeep = ["a", "b"]', "grid", Grid(scale="float", keep=("a", "b"))),
        ("keep = 'a'", "grid", Grid(keep=("a",))),
        ("resize = [8, 10]", "data", Data(resize=(8, 10))),
        ("mean = [1, 2, 3]", "data", Data(mean=(1.0, 2.0, 3.0))),
        ("std = 2.0", "data", Data(std=(2.0,))),
        ('bits-for = ["a=8"]', "bits_for", {"a": 8}),
        ("bits-for = {a = 8}", "bits_for", {"a": 8}),
        ("[bits-for]\na = 8\nb = 3", "bits_for", {"a": 8, "b": 3}),
        ("quiet = true", "progress", silent),
        ("quiet = false", "progress", bars),
    ],
)
def test_options_can_stand_in_a_file(
    mlp_file: Path, monkeypatch: pytest.MonkeyPatch, content: str, name: str, value: Any
) -> None:
    bits = () if content.startswith("bits =") else ("--bits", 4)
    assert configured(mlp_file, monkeypatch, content + "\n", *bits)[name] == value


def test_the_command_line_overrides_the_file(
    mlp_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = 'bits = 4\nkeep = ["first"]\nseed = 3\n'
    given = configured(mlp_file, monkeypatch, content, "--bits", 6, "--keep", "second")
    assert (given["bits"], given["grid"].keep, given["seed"]) == (6, ("second",), 3)


def test_options_of_other_commands_are_ignored(
    mlp_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "bits = 4\nbudget = '1MB'\nreference = 'missing.onnx'\n"
    assert "budget" not in configured(mlp_file, monkeypatch, content)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"bitz = 4\n", "'bitz' is no option; did you mean 'bits'?"),
        (b"[optimize]\nbits = 4\n", "'optimize' is no option"),
        (b"model = 'model.onnx'\n", "'model' is no option"),
        (b"config = 'other.toml'\n", "'config' is no option"),
        (b"zzz = 1\n", "'zzz' is no option; these are: activation-scale, activations, bits"),
        (b"bits = = 4\n", "cannot be read as TOML"),
        (b"bits = 4 # \xff\n", "cannot be read as TOML"),
        (b"granularity = 'row'\n", "--granularity"),
        (b"bits-for = {first = 12}\n", "--bits-for"),
        (b"time-budget = 'soon'\n", "--time-budget"),
        (b"seed = 1.5\n", "--seed"),
        (b"samples = [1, 2]\n", "--samples"),
        (b"json = 3\n", "--json"),
    ],
)
def test_a_mistake_in_the_file_is_misuse(mlp_file: Path, content: bytes, named: str) -> None:
    path = mlp_file.with_name("evoq.toml")
    path.write_bytes(content)
    text = misuse("optimize", mlp_file, "--bits", 4, "--config", path)
    assert named in " ".join(text.split())

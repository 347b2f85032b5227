"""Commands that a page offers."""

import json

from shown_results import result_values, search_values

from onnx_evoq.report.page.commands import (
    evaluation_command,
    given_command,
    point_command,
    short_point_command,
    shown,
    with_option,
)


def test_words_are_quoted_where_a_shell_needs_it() -> None:
    assert shown(["a", "b c", "$(d)"]) == "a 'b c' '$(d)'"


def test_the_command_is_the_one_that_was_given() -> None:
    assert given_command(result_values())[:3] == ["onnx-evoq", "optimize", "folder/net.onnx"]


def test_a_command_is_made_up_for_a_result_of_python() -> None:
    result = result_values()
    del result["command"]
    assert shown(given_command(result)) == (
        "onnx-evoq optimize folder/net.onnx --bits 4 --data DATA"
    )
    assert "--bits" not in given_command({**result, "bits": None})
    search = search_values()
    del search["command"]
    assert shown(given_command(search)) == "onnx-evoq search folder/net.onnx --data DATA"


def test_an_option_has_another_value() -> None:
    words = ["a", "--bits", "4", "--x=1", "--y"]
    assert with_option(words, "--bits", "5") == ["a", "--x=1", "--y", "--bits", "5"]
    assert with_option(words, "--x", "2") == ["a", "--bits", "4", "--y", "--x", "2"]
    assert with_option(words, "--z", "2") == [*words, "--z", "2"]
    assert with_option(words, "--bits", "5", also=True) == [*words, "--bits", "5"]


def test_test_data_are_read_as_the_calibration_was() -> None:
    assert shown(evaluation_command(result_values())) == (
        "onnx-evoq evaluate net.w4.onnx --data TEST_DATA --divide 255 --reference folder/net.onnx"
    )


def test_the_command_for_a_point_writes_its_policy() -> None:
    search = search_values()
    first, policy, end, build = point_command(search, search["front"][1]).splitlines()
    assert (first, end) == ("cat > policy.json <<'END'", "END")
    assert json.loads(policy)["bits"] == {"w1": 2, "w2": [4, 6]}
    assert set(json.loads(policy)) == {"bits", "granularity"}
    assert build == "onnx-evoq optimize folder/net.onnx --policy policy.json --data d.npz"


def test_a_short_command_takes_the_policy_from_a_file() -> None:
    take, build = short_point_command(search_values(), 2).splitlines()
    assert "['front'][2]" in take
    assert build.endswith("--policy policy.json --data d.npz")

"""Why a search ended early."""

import json

import pytest

from onnx_evoq.run.stop import Stopped, until_interrupted


def test_ctrl_c_ends_the_block_and_is_noted() -> None:
    done = []
    with until_interrupted() as interruption:
        done.append(1)
        raise KeyboardInterrupt
    assert done == [1]
    assert interruption.reason is Stopped.INTERRUPT


def test_without_ctrl_c_there_is_no_reason() -> None:
    with until_interrupted() as interruption:
        pass
    assert interruption.reason is None


def test_other_errors_go_through() -> None:
    with pytest.raises(ValueError, match="mine"), until_interrupted():
        raise ValueError("mine")


def test_reasons_are_words_for_json() -> None:
    assert json.dumps([Stopped.TIME, Stopped.INTERRUPT]) == '["time", "interrupt"]'

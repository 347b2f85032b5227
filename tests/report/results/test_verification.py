"""Whether a model is what its record says, as a value."""

from onnx_evoq import Verification


def test_all_is_as_recorded_if_there_is_no_fault() -> None:
    found = Verification("net.onnx", "0.1.0", 0, {"bits": 4}, 2, True)
    assert found.ok
    assert found.to_dict()["ok"]
    faulty = Verification("net.onnx", "0.1.0", 0, {}, 2, False, faults=("changed.",))
    assert not faulty.ok
    values = faulty.to_dict()
    assert (values["model"], values["faults"], values["unchanged"]) == (
        "net.onnx", ["changed."], False
    )  # fmt: skip

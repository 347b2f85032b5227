"""What a document names and does not exist is found."""

from shown_names import unknown, unknown_in_python


def test_what_does_not_exist_is_found() -> None:
    assert unknown(["onnx-evoq", "optimise"]) == ["optimise"]
    assert unknown(["onnx-evoq", "optimize", "--bits=4", "-o", "m.onnx", "--bit"]) == ["--bit"]
    assert unknown(["python", "tools/bench_search.py", "--seed", "1", "--see"]) == ["--see"]
    assert unknown(["python", "tools/no.py"]) == ["tools/no.py"]
    assert unknown(["onnx-evoq", "COMMAND", "--help"]) == []
    assert unknown(["pip", "install", "--group", "models"]) == []
    assert unknown_in_python("from onnx_evoq import optimise") == ["optimise"]
    assert unknown_in_python("import onnx_evoq as q\nq.optimise()") == ["optimise"]
    assert unknown_in_python("import onnx_evoq\nonnx_evoq.optimize(m, bit=4)") == ["optimize(bit)"]

"""How much of a model is quantized in closed form, how much is rounded, and what stays float."""

from graphs import conv_net, recurrent

from onnx_evoq.model import Skipped, find_weights, load
from onnx_evoq.report.results.coverage import Coverage, Uncovered, coverage_of


def test_every_float_is_of_one_kind() -> None:
    model = load(recurrent())
    weights, skipped = find_weights(model)
    quantized = [weight.name for weight in weights if weight.name != "w"]
    found = coverage_of(weights, skipped, quantized, {"table": "rows that are looked up"})
    sizes = {weight.name: weight.values.nbytes for weight in weights}
    assert found.nearest == sizes["table"]
    assert found.float == sizes["w"]  # "zero" is of whole numbers
    assert found.closed_form == sum(sizes.values()) - sizes["w"] - sizes["table"]
    assert found.largest == (
        Uncovered("w", sizes["w"], "float", "kept as asked for"),
        Uncovered("table", sizes["table"], "nearest", "rows that are looked up"),
    )


def test_the_three_largest_are_named() -> None:
    weights, skipped = find_weights(load(conv_net()))
    found = coverage_of(weights, skipped, [], {})
    assert found.closed_form == found.nearest == 0
    assert [each.name for each in found.largest] == ["w2", "w1", "w3"]


def test_types_have_their_sizes() -> None:
    kinds = {"float16": 2, "float32": 4, "float64": 8, "bfloat16": 2, "int64": 0}
    for kind, size in kinds.items():
        assert coverage_of([], [Skipped("b", kind, (3,), "why")], [], {}).float == 3 * size


def test_shares_are_of_all_floats() -> None:
    values = Coverage(75, 20, 5, (Uncovered("a", 20, "nearest", "why"),)).to_dict()
    assert (values["closed_form"], values["nearest"], values["float"]) == (0.75, 0.2, 0.05)
    assert values["bytes"] == {"closed_form": 75, "nearest": 20, "float": 5}
    assert values["largest"] == [{"name": "a", "bytes": 20, "kind": "nearest", "reason": "why"}]
    assert Coverage(0, 0, 0).to_dict()["closed_form"] == 0

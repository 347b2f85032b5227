import pytest
from graphs import mlp, node, random
from onnx import ModelProto, NodeProto, helper, numpy_helper
from selecting_nets import classifier, detector

from onnx_evoq.batch import make_batches
from onnx_evoq.errors import ModelError
from onnx_evoq.metrics import Criterion, find_metric
from onnx_evoq.model import find_weights, input_specs, load
from onnx_evoq.setup.scoring import Points, points_of, score_at_points
from onnx_evoq.setup.sessions import DEFAULT_RESOURCES, run_model


def scored(model: ModelProto, **options: object) -> Points:
    weights = [weight.name for weight in find_weights(model)[0]]
    return score_at_points(model, "m", weights, DEFAULT_RESOURCES, **options)  # type: ignore[arg-type]


def names(model: ModelProto) -> list[str]:
    return [output.name for output in model.graph.output]


def test_a_model_that_can_be_compared_stays_as_it_is() -> None:
    model = load(mlp())
    before = model.SerializeToString()
    assert scored(model) == Points(("logits",))
    assert model.SerializeToString() == before


def test_a_model_gets_its_points_as_outputs_and_its_own_back() -> None:
    model = load(detector())
    before, points = model.SerializeToString(), scored(model)
    assert names(model) == ["scores", "flat"] == list(points.names)
    assert points.own is not None
    assert points.own.names == ("y",)
    assert points.own.unlike == {"y"}
    assert points.own.restored(model).SerializeToString() == before
    assert points.notes == (
        "outputs that cannot be compared: 'y' (rows that values choose): scored at 'scores', "
        "'flat' (--score-at chooses others).",
    )


def test_chosen_points_need_no_note() -> None:
    model = load(detector())
    points = scored(model, score_at=["logits"])
    assert (names(model), points.notes) == (["logits"], ())


def test_a_custom_operator_is_asked_for_its_types() -> None:
    model = load(classifier())  # the standard shape inference knows no Normalizer of ONNX-ML
    for each in model.graph.node:
        if each.op_type == "Softmax":
            each.op_type, each.domain = "Normalizer", "ai.onnx.ml"
            del each.attribute[:]
    assert scored(model).names == ("probabilities",)


def test_nothing_to_compare_is_said() -> None:
    with pytest.raises(ModelError, match=r"m: no output can be compared \('label': strings;"):
        score_at_points(load(classifier(strings=True)), "m", [], DEFAULT_RESOURCES)


def test_a_model_of_any_kind_has_points() -> None:
    assert points_of(load(detector()), "m", DEFAULT_RESOURCES).names == ("scores", "flat")


def test_a_criterion_keeps_outputs_and_points_apart() -> None:
    model = load(detector())
    own = scored(model).own
    assert own is not None
    batches = make_batches({"x": random(3, 3, 8, 8)}, input_specs(model), 1)
    outputs = list(run_model(own.beside(model), batches, unlike=own.unlike))
    criterion = own.apart_in(Criterion(find_metric("mse"), outputs, None))
    assert criterion.reference is not None
    assert criterion.own is not None
    assert set(criterion.reference[0]) == {"scores", "flat"}
    assert [len(part["y"][0]) for part in criterion.own] == [len(p["y"][0]) for p in outputs]


def with_plugin(*behind: NodeProto) -> ModelProto:
    """The boxes and scores of the detector go to an operator that only another runtime has."""
    model = detector()
    nodes = [n for n in model.graph.node if "selected" not in n.input and n.output[0] != "selected"]
    nodes = [n for n in nodes if n.output[0] not in ("index", "y", "column")]
    plugin = node("OtherNMS", ["flat", "scores"], ["kept"], domain="other")
    last = behind or [node("Identity", ["kept"], ["y"])]
    kept = [*nodes, plugin, *last]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.graph.initializer.append(numpy_helper.from_array(random(4, 4), "head"))
    model.opset_import.append(helper.make_opsetid("other", 1))
    return load(model)


def test_a_model_is_scored_before_an_operator_that_only_another_runtime_has() -> None:
    model = with_plugin()
    points = scored(model)
    assert points.names == ("scores", "flat")
    assert points.own is not None
    assert not points.own.runs
    assert "'y' (behind a custom operator)" in points.notes[0]


def test_weights_behind_such_an_operator_need_its_library() -> None:
    model = with_plugin(node("Gemm", ["kept", "head"], ["y"]))
    with pytest.raises(ModelError, match=r"m: ONNX Runtime cannot load it: .*--custom-ops"):
        scored(model)
    assert scored(model, score_at=["flat"]).names == ("flat",)

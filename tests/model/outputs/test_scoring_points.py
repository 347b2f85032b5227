import numpy as np
import pytest
from graphs import mlp, model_of, node, random
from onnx import ModelProto, NodeProto, TensorProto, helper
from selecting_nets import classifier, detector, two_stages, with_outputs_of

from onnx_evoq.model import find_weights, load
from onnx_evoq.model.outputs.scoring_points import ScoringPoints, find_scoring_points


def found(model: ModelProto, **options: object) -> ScoringPoints:
    loaded = load(model)
    names = [weight.name for weight in find_weights(loaded)[0]]
    return find_scoring_points(loaded, names, **options)  # type: ignore[arg-type]


def points_behind(nodes: list[NodeProto], outputs: dict[str, str], **constants: object) -> object:
    arrays = {name: np.asarray(value) for name, value in constants.items()}
    return found(with_outputs_of(nodes, outputs, **arrays)).names


def test_outputs_that_can_be_compared_stay() -> None:
    assert found(mlp()) == ScoringPoints(("logits",))


def test_boxes_and_scores_stand_for_what_nms_keeps() -> None:
    points = found(detector())
    assert points.names == ("scores", "flat")  # not the boxes as well, of which flat is a view
    assert points.instead == {"y": "rows that values choose"}
    assert points.unlike == ("y",)
    assert points.types == {"scores": TensorProto.FLOAT, "flat": TensorProto.FLOAT}


@pytest.mark.parametrize("strings", [False, True])
def test_probabilities_stand_for_labels_and_maps(strings: bool) -> None:
    points = found(classifier(strings=strings))
    assert points.names == ("probabilities",)
    assert points.unlike == ("maps",)
    reason = "strings" if strings else "no floats"
    assert points.instead == {"label": reason, "maps": "no tensor"}


def test_weights_may_lie_behind_the_points() -> None:
    assert found(two_stages()).names == ("h",)


@pytest.mark.parametrize(
    ("nodes", "outputs", "names"),
    [
        # Of whole numbers alone, the logits say more; beside logits, labels say nothing.
        ([node("ArgMax", ["h"], ["y"])], {"y": "int64"}, ("h",)),
        ([node("ArgMax", ["h"], ["y"])], {"h": "float32", "y": "int64"}, ("h", "y")),
        ([node("Softmax", ["h"], ["p"]), node("ArgMax", ["h"], ["y"])],
         {"y": "int64", "p": "float32"}, ("y", "p")),
        # A flag that comes from no weight stays beside what does.
        ([node("IsNaN", ["x"], ["y"])], {"h": "float32", "y": "bool"}, ("h", "y")),
        # What no weight has an effect on is not scored beside what is chosen.
        ([node("NonZero", ["h"], ["y"]), node("Neg", ["x"], ["z"])],
         {"y": "int64", "z": "float32"}, ("h",)),
        # What enters a rounding, a cast, an order.
        ([node("Round", ["h"], ["y"])], {"y": "float32"}, ("h",)),
        ([node("Greater", ["h", "limit"], ["y"])], {"y": "bool"}, ("h",)),
        ([node("TopK", ["h", "two"], ["v", "i"])], {"v": "float32", "i": "int64"}, ("h",)),
        ([node("Exp", ["h"], ["e"]), node("TopK", ["h", "two"], ["v", "i"]),
          node("GatherElements", ["e", "i"], ["y"], axis=1)],
         {"y": "float32", "v": "float32"}, ("h",)),
        # A layer behind an order would be lost: its output stays.
        ([node("TopK", ["h", "two"], ["v", "i"]), node("MatMul", ["v", "head"], ["y"])],
         {"y": "float32"}, ("y",)),
        # What a layer goes on with is seen behind it; a class is seen by its scores.
        ([node("NonZero", ["h"], ["y"]), node("MatMul", ["h", "other"], ["z"])],
         {"y": "int64", "z": "float32"}, ("z",)),
        ([node("NonZero", ["h"], ["y"]), node("ReduceMean", ["h"], ["z"])],
         {"y": "int64", "z": "float32"}, ("h", "z")),
        ([node("LinearClassifier", ["h"], ["y", "s"], domain="ai.onnx.ml",
               coefficients=[1.0] * 12, classlabels_ints=[0, 1])],
         {"y": "int64", "s": "float32"}, ("y", "s")),
        # A layer that only labels come from is seen by its scores.
        ([node("MatMul", ["h", "other"], ["s"]), node("ArgMax", ["s"], ["y"])],
         {"h": "float32", "y": "int64"}, ("h", "s")),
    ],
)  # fmt: skip
def test_points(nodes: list[NodeProto], outputs: dict[str, str], names: tuple[str, ...]) -> None:
    assert points_behind(
        nodes, outputs, limit=np.float32(0), two=np.array([2], np.int64), head=random(2, 3),
        other=random(6, 3),
    ) == names  # fmt: skip


def test_whole_numbers_that_no_floats_enter_stay_where_they_are_all() -> None:
    nodes = [
        node("Cast", ["table"], ["t"], to=TensorProto.INT64),
        node("Gather", ["t", "x"], ["y"]),
    ]
    model = model_of(nodes, {"x": ["n"]}, {"y": None}, {"table": random(4, 6)},
                     dtypes={"x": "int64", "y": "int64"})  # fmt: skip
    assert found(model).names == ("y",)


def test_there_may_be_nothing_to_compare() -> None:
    nodes = [
        node("Cast", ["table"], ["t"], to=TensorProto.INT64),
        node("Gather", ["t", "x"], ["g"]),
        node("NonZero", ["g"], ["y"]),
    ]
    kinds = {"x": "int64", "y": "int64"}
    model = model_of(nodes, {"x": ["n"]}, {"y": None}, {"table": random(4, 6)}, dtypes=kinds)
    assert find_scoring_points(load(model), ["table"]).names == ()


def custom() -> ModelProto:
    """h goes through a custom operator, and then through NonZero."""
    nodes = [node("Own", ["h"], ["own"], domain="mine"), node("NonZero", ["own"], ["y"])]
    model = with_outputs_of(nodes, {"y": "int64"})
    model.opset_import.append(helper.make_opsetid("mine", 1))
    return model


def test_a_type_that_is_not_known_is_asked_for() -> None:
    assert found(custom()).untyped == ("own",)
    asked = found(custom(), types={"own": "float32"})
    assert (asked.names, asked.untyped, asked.custom) == (("own",), (), ("own",))
    assert found(custom(), types={"own": ""}).names == ("h",)
    assert found(custom(), types={"own": "float32"}, varying=["own"]).names == ("h",)


def test_outputs_that_no_input_has_an_effect_on_are_left_out() -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["y"]),
        node("Identity", ["version"], ["v"]),
        node("Mul", ["w", "w"], ["squares"]),
    ]
    weights = {"w": random(4, 3), "version": np.array([2], np.float32)}
    outputs = {"v": None, "y": ["n", 3], "squares": None}
    points = found(model_of(nodes, {"x": ["n", 4]}, outputs, weights))
    assert points.names == ("y",)
    assert points.instead == dict.fromkeys(["v", "squares"], "the same for all inputs")
    alone = found(model_of(nodes[1:], {"x": ["n", 4]}, {"v": None}, weights))
    assert alone.names == ("v",)

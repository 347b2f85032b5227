import pytest
from selecting_nets import detector, two_stages

from onnx_evoq.errors import OptionError
from onnx_evoq.model import load
from onnx_evoq.model.outputs.chosen_points import chosen_points
from onnx_evoq.model.outputs.scoring_points import ScoringPoints


def chosen(*names: str) -> ScoringPoints:
    return chosen_points(load(detector()), ["w"], names, {})


def test_tensors_are_taken_as_they_were_chosen() -> None:
    points = chosen("logits", "boxes", "logits")
    assert points.names == ("logits", "boxes")
    assert points.unlike == ("y",)
    assert points.untyped == ()
    assert chosen_points(load(two_stages()), ["first", "head"], ["h"], {}).types == {"h": 1}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("score", "score_at 'score' is no tensor .*: choose 'scores'"),
        ("x", "score_at 'x' is no tensor that a node"),
        ("zzz", "choose 'scores' or 'flat' or 'y', for example"),
        ("selected", "'selected' holds no floats"),
        ("y", "'y' has rows that values choose"),
    ],
)
def test_a_name_that_cannot_be_scored_is_refused(name: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        chosen(name)


def test_what_no_weight_changes_is_refused() -> None:
    with pytest.raises(OptionError, match="'boxes' depends on no weight"):
        chosen_points(load(detector()), [], ["boxes"], {})

"""The interface of progress."""

from onnx_evoq.progress import silent, stepping


def test_silent_progress_takes_steps_and_shows_nothing() -> None:
    with silent("label", 3) as step:
        assert step(1) is None
        assert step(1, layer="conv", best=0.5, evaluations=3, left=1.0) is None


def test_there_is_a_step_of_one_after_each_item() -> None:
    steps: list[float] = []
    with silent("label", 2):
        shown = stepping("ab", lambda amount, **where: steps.append(amount))
        assert [(item, len(steps)) for item in shown] == [("a", 0), ("b", 1)]
    assert steps == [1, 1]

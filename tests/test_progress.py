"""The interface of progress bars."""

from onnx_evoq.progress import silent, stepping


def test_silent_progress_takes_steps_and_shows_nothing() -> None:
    with silent("label", 3) as step:
        assert step(1) is None


def test_there_is_a_step_of_one_after_each_item() -> None:
    steps: list[float] = []
    assert [(item, len(steps)) for item in stepping("ab", steps.append)] == [("a", 0), ("b", 1)]
    assert steps == [1, 1]

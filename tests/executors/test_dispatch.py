"""Which worker gets which task."""

from onnx_evoq.executors.dispatch import AT_ONCE, Choice, Dispatch


def given(dispatch: Dispatch, waiting: dict[int, object]) -> list[Choice]:
    """Give tasks away until no worker is free."""
    rest, choices = dict(waiting), []
    while (choice := dispatch.choose(rest)) is not None:
        dispatch.began(choice, rest.pop(choice.task))
        choices.append(choice)
    return choices


def of(*workers: str) -> Dispatch:
    dispatch = Dispatch()
    dispatch.present(workers)
    return dispatch


def test_no_task_and_no_worker_give_nothing() -> None:
    assert of("a").choose({}) is None
    assert Dispatch().choose({0: None}) is None


def test_each_worker_gets_one_task_before_any_gets_two() -> None:
    found = given(of("a", "b"), dict.fromkeys(range(9)))
    assert [choice.worker for choice in found] == ["a", "b", "a", "b"]
    assert [choice.task for choice in found] == [0, 1, 2, 3]
    assert AT_ONCE == 2


def test_a_worker_is_free_again_when_a_task_ended() -> None:
    dispatch = of("a")
    given(dispatch, {0: None, 1: None})
    assert dispatch.choose({2: None}) is None
    dispatch.ended("a")
    assert dispatch.choose({2: None}) == Choice(2, "a")


def test_tasks_of_a_home_go_to_the_worker_that_has_it() -> None:
    dispatch = of("a", "b")
    assert given(dispatch, {0: "x", 1: "y"}) == [Choice(0, "a"), Choice(1, "b")]
    for worker in "ab":
        dispatch.ended(worker)
    # y waits first, but a has x.
    assert dispatch.choose({0: "y", 1: "y", 2: "x"}) == Choice(2, "a")


def test_a_home_that_is_with_nobody_is_taken_before_that_of_another() -> None:
    dispatch = of("a", "b")
    dispatch.began(Choice(0, "a"), "x")
    assert dispatch.choose({1: "x", 2: "z"}) == Choice(2, "b")


def test_only_an_idle_worker_takes_the_last_task_of_another_ones_home() -> None:
    dispatch = of("a", "b")
    dispatch.began(Choice(0, "a"), "x")
    dispatch.began(Choice(1, "a"), "x")
    assert dispatch.choose({2: "x", 3: "x"}) == Choice(3, "b")
    dispatch.began(Choice(3, "b"), None)
    assert dispatch.choose({2: "x"}) is None  # b has something to do


def test_a_home_that_was_helped_with_is_with_both() -> None:
    dispatch = of("a", "b")
    dispatch.began(Choice(0, "a"), "x")
    dispatch.began(Choice(1, "b"), "x")
    dispatch.ended("b")
    assert dispatch.choose({2: "y", 3: "x"}) == Choice(3, "b")


def test_a_lost_worker_gets_nothing_and_has_no_homes_when_it_comes_back() -> None:
    dispatch = of("a", "b")
    dispatch.began(Choice(0, "b"), "x")
    dispatch.ended("b")
    dispatch.present(["a"])
    assert dispatch.workers == ["a"]
    assert dispatch.choose({1: "x"}) == Choice(1, "a")
    dispatch.began(Choice(1, "b"), "late")  # it is not there
    dispatch.present(["a", "b"])
    assert dispatch.choose({2: "y", 3: "late"}) == Choice(2, "a")

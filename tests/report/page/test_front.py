"""The part of a page on a search."""

from typing import Any

import pytest
from shown_results import EVIL, Page, point_values, result_values, search_values

from onnx_evoq.report.page import front
from onnx_evoq.report.page.front import front_section, front_verdict, next_steps, offered_point


@pytest.fixture(autouse=True)
def with_matplotlib() -> None:
    pytest.importorskip("matplotlib")


def test_the_smallest_point_that_loses_little_is_offered() -> None:
    assert offered_point(search_values()) == 1


def test_if_all_lose_much_that_which_loses_least_is_offered() -> None:
    points = [point_values(k, 0.1 * k, {"w": k}) for k in (3, 2, 4)]
    assert offered_point(search_values(front=points)) == 1
    unknown = [{**point, "drop": None} for point in points]
    assert offered_point(search_values(front=unknown)) == 0


def test_the_point_that_was_chosen_is_offered() -> None:
    search = search_values()
    assert offered_point({**search, "chosen": search["front"][2]}) == 2


def test_the_front_is_compared_with_one_width_for_all() -> None:
    worth, _ = front_verdict(search_values())
    assert worth == (
        "Yes: 4 bits everywhere take 4 kB and put the outputs off by 3 % of their power, and the "
        "front has 0.9 % in 3 kB; a point of 3 kB is as good as that."
    )


def test_a_front_of_uniform_widths_is_hardly_worth_it() -> None:
    search = search_values()
    worth, _ = front_verdict({**search, "front": search["uniform"]})
    assert worth.startswith("Hardly: ")
    alone, _ = front_verdict({**search, "uniform": []})
    assert "no uniform widths" in alone


def test_the_layers_of_most_bits_are_named() -> None:
    search = search_values()
    assert front_verdict(search)[1] == "w2: at 3 kB the search gives it 6 bits, the most."
    points = [point_values(3000, 0.0, {f"w{k}": 6 for k in range(5)} | {"v": 2})]
    _, hurts = front_verdict({**search, "front": points})
    assert hurts.startswith("w0, w1, w2 and 2 more: ")
    even = {**search, "front": search["uniform"]}
    assert front_verdict(even)[1] == "No layer stands out: at 4 kB all have 4 bits."


def test_the_next_step_is_to_build_a_point() -> None:
    ((text, command),) = next_steps(search_values())
    assert (text, command) == (
        "Build point 2: it takes 3 kB, and loses 0.9 % on held-out samples.", "",
    )  # fmt: skip
    better = [{**point, "drop": -0.5} for point in search_values()["front"]]
    assert "loses nothing" in next_steps(search_values(front=better))[0][0]
    _, (_, again) = next_steps(search_values(stopped="time"))
    assert again.endswith("--time-budget 120s")
    ((built, _),) = next_steps(search_values(optimized=result_values()))
    assert built.startswith("Point 2 was built (3 kB)")


def test_each_point_has_a_row_a_button_and_a_command() -> None:
    page = Page(front_section(search_values()))
    assert [b["data-point"] for b in page.all("button", type="button") if "data-point" in b] == [
        "0", "1", "2",
    ]  # fmt: skip
    commands = [own for _, own in page.elements if "data-command" in own]
    assert ["hidden" in own for own in commands] == [True, False, True]
    assert page.text.count("--policy policy.json") == 3
    assert page.unclosed == []


def test_commands_of_very_many_widths_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "_MOST_TEXT", 100)
    assert "json.load(open('result.json'))['front'][2]" in Page(front_section(search_values())).text


def test_names_are_escaped() -> None:
    point: dict[str, Any] = point_values(2000, 0.001, {EVIL: 2})
    page = Page(front_section(search_values(front=[point], metric=EVIL)))
    assert page.all("script") == []

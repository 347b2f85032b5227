"""Sizes of open axes that constants demand."""

from collections.abc import Callable

from onnx_evoq.model import SizeDemand
from onnx_evoq.setup.axes.demanded_sizes import Sizes, demanded_sizes

Demands = Callable[[Sizes], list[SizeDemand]]


def rows(size: int, stride: int = 32) -> int:
    return size // stride


def of_area(wanted: int) -> Demands:
    """Demands the number of values of a map of 8 channels."""

    def at(sizes: Sizes) -> list[SizeDemand]:
        has = 8 * rows(sizes["h"]) * rows(sizes["w"])
        return [SizeDemand(("bias", 1), 8, 8), SizeDemand(("flat", 1), has, wanted)]

    return at


def test_a_length_follows_from_what_grows_with_it() -> None:
    def at(sizes: Sizes) -> list[SizeDemand]:
        return [SizeDemand(("p", -2), sizes["t"], 50), SizeDemand(("q", 1), 3, 4)]

    assert demanded_sizes({"t": 32, "other": 32}, [], at) == [{"t": 50}]


def test_sides_of_images_follow_from_an_area() -> None:
    first, sides = {"h": 128, "w": 128}, [("h", "w")]
    assert demanded_sizes(first, sides, of_area(8 * 49)) == [{"h": 224, "w": 224}]
    assert demanded_sizes(first, sides, of_area(8 * 50)) == [{"h": 160, "w": 320}]
    assert demanded_sizes(first, sides, of_area(3)) == []


def test_sides_may_be_demanded_one_by_one() -> None:
    def at(sizes: Sizes) -> list[SizeDemand]:
        return [
            SizeDemand(("table", -2), rows(sizes["h"]), 2),
            SizeDemand(("table", -1), rows(sizes["w"]), 10),
        ]

    assert demanded_sizes({"h": 128, "w": 128}, [("h", "w")], at) == [{"h": 64, "w": 320}]


def test_sizes_at_which_nothing_is_known_grow() -> None:
    def at(sizes: Sizes) -> list[SizeDemand]:
        return [SizeDemand(("y", 1), sizes["t"] - 399, 101)] if sizes["t"] >= 400 else []

    assert demanded_sizes({"t": 32}, [], at) == [{"t": 500}]


def test_without_open_axes_there_is_nothing_to_find() -> None:
    assert demanded_sizes({}, [], lambda sizes: []) == []


def test_branches_may_demand_other_sizes() -> None:
    def at(sizes: Sizes) -> list[SizeDemand]:
        return [
            SizeDemand((name, -1), sizes["t"], wanted) for name, wanted in (("a", 8), ("b", 16))
        ]

    assert demanded_sizes({"t": 32}, [], at) == [{"t": 8}, {"t": 16}]

"""The picture of the rooms: what it reads from a package, and that it is a picture."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from draw_rooms import draw, grounds, ordered, read_rooms

ROOMS = {
    "numbers": '"""Knows numbers. It knows no files.\n\nMore."""\n',
    "setup": '"""Knows a job."""\nfrom house.numbers import one\n',
    "api": '"""The functions."""\nfrom house.setup import job\nfrom house.errors import Wrong\n',
    "cli": '"""The command line."""\nimport house\n',
}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A package with a few rooms."""
    for room, source in ROOMS.items():
        (tmp_path / "house" / room).mkdir(parents=True)
        (tmp_path / "house" / room / "__init__.py").write_text(source, encoding="utf-8")
    (tmp_path / "house" / "errors.py").write_text("class Wrong(Exception): ...\n")
    return tmp_path / "house"


def test_rooms_are_read_from_imports_and_docstrings(house: Path) -> None:
    uses, sentences = read_rooms(house)
    assert uses == {"numbers": set(), "setup": {"numbers"}, "api": {"setup"}, "cli": {"api"}}
    assert sentences["numbers"] == "Knows numbers"
    assert ordered(uses) == ["cli", "api", "setup", "numbers"]
    assert grounds(uses) == {"numbers"}


def test_a_circle_is_refused() -> None:
    with pytest.raises(ValueError, match="one -> two -> one"):
        ordered({"one": {"two"}, "two": {"one"}})


def test_a_picture_is_well_formed_and_names_all_rooms(house: Path) -> None:
    drawn = draw(house)
    words = [element.text for element in ElementTree.fromstring(drawn).iter() if element.text]
    assert set(ROOMS) <= set(words)
    assert drawn.count("<circle") == 3

"""The picture of a search: size against error."""

import sys
from pathlib import Path
from typing import Any

import pytest
from searches import GREEDY, MIXED, SPLIT, UNIFORM, point, search_of

from onnx_evoq.errors import OutputError
from onnx_evoq.report import search_picture
from onnx_evoq.report.front_picture import check_picture


class Axes:
    """The axes that a picture has drawn into, from the figure that it has saved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path, **changes: Any) -> None:
        from matplotlib.figure import Figure

        figures = []

        def keep(figure: Figure, file: Any, format: str, dpi: int) -> None:
            figures.append((figure, format))
            file.write(b"picture")

        monkeypatch.setattr(Figure, "savefig", keep)
        search_picture(search_of(**changes), path)
        ((figure, self.format),) = figures
        (self.axes,) = figure.axes
        self.lines = {
            str(line.get_label()): [tuple(map(float, xy)) for xy in line.get_xydata()]
            for line in self.axes.get_lines()
        }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pytest.importorskip("matplotlib")
    return tmp_path / "front.png"


def test_there_is_a_line_for_front_uniform_widths_and_greedy_choices(
    monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    lines = Axes(monkeypatch, path).lines
    assert list(lines) == ["front", "uniform widths", "greedy by sensitivity"]
    assert lines["front"][1] == (2.5, MIXED.heldout)  # kB, and the error on held-out samples
    assert lines["uniform widths"] == [(p.packed_bytes / 1000, p.heldout) for p in UNIFORM]
    assert lines["greedy by sensitivity"] == [(4.5, GREEDY.heldout)]


def test_uniform_widths_are_marked(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    texts = Axes(monkeypatch, path).axes.texts
    assert [text.get_text() for text in texts] == list("2345678")
    assert texts[0].xy == (2.0, UNIFORM[0].heldout)


def test_the_size_of_the_file_may_be_drawn(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    drawn = Axes(monkeypatch, path, size="file")
    assert drawn.lines["front"][1] == (5.0, MIXED.heldout)
    assert drawn.axes.get_xlabel() == "kB (file)"


def test_axes_are_labelled(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    axes = Axes(monkeypatch, path, source="folder/model.onnx", metric="own.py:f1").axes
    assert axes.get_title() == "model.onnx"
    assert axes.get_xlabel() == "kB (packed)"
    assert axes.get_ylabel() == "f1, held-out samples"
    assert axes.get_legend() is not None


@pytest.mark.parametrize(("least", "scale"), [(0.1, "log"), (0.0, "linear"), (-3.0, "linear")])
def test_errors_have_a_logarithmic_axis_if_all_are_positive(
    monkeypatch: pytest.MonkeyPatch, path: Path, least: float, scale: str
) -> None:
    front = (point(SPLIT, 1500, least), *UNIFORM)
    assert Axes(monkeypatch, path, front=front).axes.get_yscale() == scale


@pytest.mark.parametrize("name", ["front.png", "front.PNG", "front.svg"])
def test_the_end_of_the_name_says_the_format(
    monkeypatch: pytest.MonkeyPatch, path: Path, name: str
) -> None:
    drawn = Axes(monkeypatch, path.with_name(name))
    assert drawn.format == Path(name).suffix[1:].lower()
    assert path.with_name(name).read_bytes() == b"picture"


def test_matplotlib_writes_the_picture(path: Path) -> None:
    search_picture(search_of(front=UNIFORM[:1], uniform=(), greedy=()), path.with_suffix(".svg"))
    assert path.with_suffix(".svg").read_bytes().startswith(b"<?xml")


def test_without_matplotlib_an_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for draw in (check_picture, lambda file: search_picture(search_of(), file)):
        with pytest.raises(OutputError, match=r"pip install 'onnx-evoq\[report\]'"):
            draw(tmp_path / "front.png")


@pytest.mark.parametrize("name", ["front.docx", "front", ".png"])
def test_a_format_that_is_no_picture_is_named(path: Path, name: str) -> None:
    file = path.with_name(name)
    for draw in (check_picture, lambda file: search_picture(search_of(), file)):
        with pytest.raises(OutputError, match=r"is no kind of picture .*: name it \.png") as caught:
            draw(file)
        assert name in str(caught.value)


def test_a_picture_that_cannot_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    check_picture(path)
    with pytest.raises(OutputError, match=r"front\.png: cannot be written"):
        Axes(monkeypatch, path.parent / "nowhere" / "front.png")

"""HTML in which every text is escaped."""

from shown_results import EVIL, Page

from onnx_evoq.report.charts.markup import (
    Markup,
    cell,
    code,
    command_box,
    data_table,
    element,
    joined,
)


def test_text_and_attributes_are_escaped() -> None:
    made = element("p", EVIL, title=EVIL)
    page = Page(made)
    assert page.text == EVIL
    assert page.all("p")[0]["title"] == EVIL
    assert page.all("script") == []


def test_markup_is_not_escaped_again() -> None:
    assert element("p", element("b", "a & b")) == "<p><b>a &amp; b</b></p>"
    assert joined([Markup("<b>"), "<b>", None]) == "<b>&lt;b&gt;"


def test_attributes_without_a_value_have_none_and_others_are_left_out() -> None:
    assert element("p", hidden=True, id=None, title=False) == "<p hidden></p>"
    assert element("meta", http_equiv="x") == '<meta http-equiv="x">'


def test_a_cell_of_a_number_can_be_sorted() -> None:
    assert cell("1 kB", 1000) == '<td data-sort="1000" class="number">1 kB</td>'
    assert cell("a", "a") == '<td data-sort="a">a</td>'
    assert cell("-") == "<td>-</td>"


def test_a_table_has_a_caption_and_scopes() -> None:
    page = Page(data_table("All of it", ["name", "size"], [["a", cell("1", 1)], ["b", "2"]]))
    assert [each["scope"] for each in page.all("th")] == ["col", "col", "row", "row"]
    assert len(page.all("caption")) == 1
    assert len(page.all("td")) == 2
    assert page.all("div")[0]["tabindex"] == "0"  # so that it scrolls by keyboard, too
    assert page.all("button") == []
    assert page.unclosed == []


def test_the_heads_of_a_table_that_is_sorted_are_buttons() -> None:
    page = Page(data_table("All of it", ["name", "size"], [], sortable=True))
    assert len(page.all("button", type="button")) == 2


def test_a_command_has_a_button_that_copies_it() -> None:
    page = Page(command_box("a < b"))
    assert page.text == "a < bCopy"
    assert page.all("button")[0]["class"] == "copy"
    assert code("<x>") == "<code>&lt;x&gt;</code>"


def test_the_name_of_an_option_is_not_broken() -> None:
    made = command_box("a --b=c\n-d e")
    assert "<code>a <span>--b=c</span>\n<span>-d</span> e</code>" in made

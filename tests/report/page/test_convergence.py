"""The part of a page on how a run went."""

import pytest
from shown_results import Page, history

from onnx_evoq.report.page.convergence import convergence_section, with_all_evaluations


def test_a_run_has_charts_of_stages_and_of_best_values() -> None:
    pytest.importorskip("matplotlib")
    page = Page(convergence_section(history(), "mse") or "")
    assert len(page.all("svg")) == 3
    early = Page(convergence_section(history()[:2], "mse") or "")
    assert len(early.all("svg")) == 1


def test_a_run_that_was_not_recorded_has_no_part() -> None:
    assert convergence_section([], "mse") is None


def test_evaluations_of_all_stages_add_up() -> None:
    stages = [("a", 3), ("a", 5), ("b", None), ("b", 4), ("b", 9), ("a", 1), ("a", 0)]
    moments = [{"stage": stage, "evaluations": count} for stage, count in stages]
    found = [moment["evaluations"] for moment in with_all_evaluations(moments)]
    assert found == [3, 5, None, 9, 14, 15, 15]

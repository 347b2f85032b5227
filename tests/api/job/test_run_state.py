"""Each end of a run has a state."""

import pytest

from onnx_evoq.api.job.run_state import state_of_end
from onnx_evoq.run import Stopped


@pytest.mark.parametrize(
    ("stopped", "state"),
    [(None, "done"), (Stopped.TIME, "time"), (Stopped.INTERRUPT, "interrupted")],
)
def test_the_state_tells_why_a_run_ended(stopped: Stopped | None, state: str) -> None:
    assert state_of_end(stopped) == state

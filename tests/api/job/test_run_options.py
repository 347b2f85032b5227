"""What a run depends on."""

import onnx_evoq
from onnx_evoq.api.job import run_options


def test_preprocessing_counts_and_the_source_does_not() -> None:
    one, other, halved = (
        run_options(onnx_evoq.Data(source, divide=divide), onnx_evoq.Resources(), bits=4)
        for source, divide in (("a.npz", 1.0), ("b.npz", 1.0), ("a.npz", 2.0))
    )
    assert one == other != halved


def test_cores_and_memory_do_not_count() -> None:
    every, some = (
        run_options(None, onnx_evoq.Resources(workers=workers, memory=memory), bits=4)
        for workers, memory in ((None, None), (1, 10**9))
    )
    assert every == some
    assert every != run_options(None, onnx_evoq.Resources(["cuda"]), bits=4)


def test_fields_of_a_grid_and_a_strategy_are_options_of_their_own() -> None:
    groups = onnx_evoq.Grid(granularity="channel"), onnx_evoq.Strategy("none")
    found = run_options(None, onnx_evoq.Resources(), *groups, bits=4)
    assert (found["granularity"], found["strategy"], found["bits"]) == ("channel", "none", 4)
    assert "name" not in found

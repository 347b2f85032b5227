"""Whole runs on a cluster: the bytes of one machine, and one sentence where there is none."""

import functools
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from calls import search_bits
from far_workers import FAR, FarWorkers
from graphs import conv_net, random
from real_cluster import RealCluster
from searches import shorten

from onnx_evoq import ClusterError, Resources, Strategy, optimize, rank_sensitivity
from onnx_evoq.executors import opening
from onnx_evoq.mixed_precision.layer_table import several_layers
from onnx_evoq.reconstruct.walk import Walk

DATA = {"x": random(40, 3, 8, 8)}


@pytest.fixture(scope="module", autouse=True)
def few_formats() -> Iterator[None]:
    """Formats evolve for three generations."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("onnx_evoq.evolve.formats._GENERATIONS", 3)
        yield


@functools.cache
def expected(name: str) -> bytes:
    """The model that a short run on this machine emits."""
    return optimized(None, name)


def optimized(cluster: str | None, name: Any) -> bytes:
    """The model that a short run emits."""
    result = optimize(
        conv_net(), DATA, bits=3, strategy=Strategy(name, generations=3, population=4),
        time_budget=None, resources=Resources(workers=1, cluster=cluster),
    )  # fmt: skip
    content: bytes = result.model.SerializeToString()
    return content


@pytest.mark.parametrize("name", ["neuroevolution", "coevolution"])
def test_a_run_gives_the_same_bytes_on_workers(far: FarWorkers, name: str) -> None:
    assert optimized(FAR, name) == expected(name)
    assert len(far.asked) > 10


def test_a_run_gives_the_same_bytes_on_real_workers(cluster: RealCluster) -> None:
    assert optimized(cluster.address, "coevolution") == expected("coevolution")


def test_a_worker_that_is_lost_between_layers_changes_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, layers, original = expected("none"), list[str](), Walk.samples
    with RealCluster(tmp_path) as own:
        for _ in range(2):
            own.start_worker()

        def losing(walk: Walk, network: Any, index: int, layer: Any, *rest: Any) -> Any:
            layers.append(layer.weight)
            if index == 1:  # what it had of the first layer is gone
                own.kill_worker()
                own.start_worker()
            return original(walk, network, index, layer, *rest)

        monkeypatch.setattr(Walk, "samples", losing)
        assert optimized(own.address, "none") == here
    assert layers == ["w1", "w2", "w3"]


def test_sensitivities_are_the_same_on_workers(far: FarWorkers) -> None:
    one, other = (
        rank_sensitivity(conv_net(), DATA, bits=4, resources=Resources(workers=1, cluster=address))
        for address in (FAR, None)
    )
    assert one.rows == other.rows
    assert far.asked


def test_a_search_for_widths_is_the_same_on_workers(
    far: FarWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch)
    monkeypatch.setattr(several_layers, "_SECONDS_PER_TASK", 0.0)
    one, other = (
        search_bits(conv_net(), DATA, resources=Resources(workers=1, cluster=address))
        for address in (FAR, None)
    )
    assert (one.front, one.uniform) == (other.front, other.uniform)
    assert any(isinstance(asked, list) for asked in far.asked)  # ways of layers


def test_a_scheduler_that_nobody_started_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(opening, "_TIMEOUT", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ClusterError) as caught:
        optimized(address, "none")
    assert str(caught.value).count(".") == 4  # of the address, and one at the end

"""What several tests share: paths, small models as files, and data for them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from far_workers import FAR, FarWorkers
from graphs import conv_net, mlp
from real_cluster import RealCluster

from onnx_evoq.executors import opening

PROJECT = Path(__file__).parent.parent


@pytest.fixture(scope="session", autouse=True)
def one_core() -> Iterator[None]:
    """One worker where a test asks for no number: threads only wait for each other on small models.

    So the suite does the same work on each machine, and takes three quarters of the time.
    """
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
        yield


@pytest.fixture
def models() -> Path:
    """The folder of trained models that the project ships."""
    return PROJECT / "models"


@pytest.fixture
def shared() -> Path:
    """A folder of real models and data; skips the test where none is named."""
    folder = os.environ.get("EVOQ_SHARED_DATA")
    if not folder:
        pytest.skip("needs real models and data: name their folder in EVOQ_SHARED_DATA")
    return Path(folder)


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> FarWorkers:
    """Two workers that get only what is sent to them; their address is `FAR`."""
    workers = FarWorkers()
    monkeypatch.setitem(opening._open, FAR, workers)  # type: ignore[misc]
    return workers


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    """A scheduler and two workers in processes of their own; skips the test without Dask."""
    pytest.importorskip("distributed")
    with RealCluster(tmp_path_factory.mktemp("cluster")) as running:
        running.start_worker()
        running.start_worker()
        yield running


@pytest.fixture
def no_least_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a bound of no memory send all activations to a file."""
    monkeypatch.setattr("onnx_evoq.setup.sessions.resources._LEAST_CACHE", 0)


@pytest.fixture
def save(tmp_path: Path) -> Callable[[onnx.ModelProto, str], Path]:
    """Write a model into the test's own folder."""

    def write(model: onnx.ModelProto, name: str = "model.onnx") -> Path:
        path = tmp_path / name
        path.write_bytes(model.SerializeToString())
        return path

    return write


@pytest.fixture
def mlp_file(save: Callable[..., Path]) -> Path:
    """x (n, 4) -> logits (n, 3), as a file."""
    return save(mlp())


@pytest.fixture
def conv_file(save: Callable[..., Path]) -> Path:
    """x (n, 3, 8, 8) -> logits (n, 5), as a file."""
    return save(conv_net())


@pytest.fixture
def mlp_data(tmp_path: Path) -> Path:
    """64 samples with labels for the model of `mlp_file`."""
    rng = np.random.default_rng(7)
    path = tmp_path / "data.npz"
    np.savez(path, x=rng.standard_normal((64, 4)).astype(np.float32), y=rng.integers(0, 3, size=64))
    return path

"""A command whose cluster is lost says how to go on, and goes on with the bytes of one machine."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import invoke
from graphs import conv_net, random
from kept_runs import names_in
from real_cluster import RealCluster

pytest.importorskip("distributed")

SECONDS = 60  # that a command may take until it has kept a step, or until it ends


def words_of(command: str, folder: Path, *options: str) -> list[str]:
    """A command without a time budget on a small model, which it finds in a folder."""
    (folder / "net.onnx").write_bytes(conv_net().SerializeToString())
    np.savez(folder / "data.npz", x=random(24, 3, 8, 8))
    paths = [str(folder / "net.onnx"), "--data", str(folder / "data.npz")]
    return [command, *paths, *options, "--time-budget", "none", "-q"]


def lose_its_cluster(folder: Path, words: list[str], run: Path, step: str) -> None:
    """Run a command on a cluster, kill the scheduler as soon as a step is kept, and see the end.

    Args:
        folder: a new one, for the cluster.
        words: the command.
        run: the folder of its run.
        step: a pattern of paths in it.
    """
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    with RealCluster(folder) as own:
        own.start_worker()
        with subprocess.Popen(
            [sys.executable, "-m", "onnx_evoq", *words, "--cluster", own.address],
            env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            end = time.monotonic() + SECONDS
            while not list(run.glob(step)):
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < end
                time.sleep(0.01)
            own.kill_scheduler()
            found = process.communicate(timeout=SECONDS)
        assert (process.returncode, *found) == (
            1,
            "",
            f"Error: the connection to the scheduler at {own.address} is lost: start it and its "
            f"workers again. What was found is kept: go on with onnx-evoq {words[0]} --resume "
            f"{run}, with --cluster ADDRESS on another cluster, or --cluster none on this machine "
            "alone.\n",
        )


def result_of(run: Path) -> dict[str, object]:
    """What a run found, without notes on steps that were damaged."""
    found: dict[str, object] = json.loads((run / "result.json").read_text())
    assert "damaged" not in str(found["notes"])
    return found


def test_an_optimization_goes_on_with_another_cluster_and_with_none(tmp_path: Path) -> None:
    words, run = words_of("optimize", tmp_path, "--bits", "3", "--generations", "1"), tmp_path / "r"
    invoke(*words, "-o", tmp_path / "whole.onnx", "--run-dir", tmp_path / "whole")
    begins = [*words, "-o", str(tmp_path / "out.onnx"), "--run-dir", str(run)]
    goes_on = ["optimize", "--resume", str(run), "-q"]
    lose_its_cluster(tmp_path / "one", begins, run, "steps/start/*/w1.npz")
    lose_its_cluster(tmp_path / "other", goes_on, run, "steps/codes*/*/*.npz")
    invoke(*goes_on, "--cluster", "none")
    assert (tmp_path / "out.onnx").read_bytes() == (tmp_path / "whole.onnx").read_bytes()
    assert names_in(run) == names_in(tmp_path / "whole")
    result_of(run)


def test_a_search_goes_on_without_its_cluster(tmp_path: Path) -> None:
    options = ("--no-expansion", "--granularity", "tensor")
    words, run = words_of("search", tmp_path, *options), tmp_path / "r"
    invoke(*words, "--run-dir", tmp_path / "whole")
    lose_its_cluster(
        tmp_path / "one", [*words, "--run-dir", str(run)], run, "search/steps/points/**/*.npz"
    )
    invoke("search", "--resume", run, "-q", "--cluster", "none")
    assert result_of(run)["front"] == result_of(tmp_path / "whole")["front"]
    assert names_in(run) == names_in(tmp_path / "whole")

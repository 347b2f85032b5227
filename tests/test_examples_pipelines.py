"""The examples for pipelines: a job, a Makefile and a hook."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from commands import run_command
from documents import commands
from graphs import mlp, random
from graphs import run as onnx_runtime
from shown_names import PROJECT, environment, unknown

EXAMPLES = PROJECT / "examples"
HOOK = (PROJECT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a float model and samples."""
    (tmp_path / "net.onnx").write_bytes(mlp().SerializeToString())
    np.savez(tmp_path / "calib.npz", x=random(64, 4, seed=5))
    return tmp_path


def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=folder, env={**environment(PROJECT), **variables}, capture_output=True,
        text=True, check=False, timeout=120,
    )  # fmt: skip


# The job


def job_commands() -> list[str]:
    """The commands of the job."""
    text = (EXAMPLES / "ci-job.yml").read_text(encoding="utf-8")
    items = text.partition("  script:\n")[2].partition("  artifacts:")[0]
    found = [" ".join(item.split()) for item in items.split("    - ")[1:]]
    return [each.removeprefix(">- ") for each in found]


def test_the_job_installs_optimizes_and_verifies() -> None:
    install, *others = job_commands()
    assert install == "python -m pip install ."
    words = [each[:2] for each in commands("\n".join(others)) if each[0] == "onnx-evoq"]
    assert words == [["onnx-evoq", "optimize"], ["onnx-evoq", "verify"]]
    assert all(unknown(each) == [] for each in commands("\n".join(others)))


@pytest.mark.parametrize(("max_drop", "code"), [("100", 0), ("0", 3)])
def test_the_job_ends_with_3_if_the_drop_cannot_be_held(
    folder: Path, max_drop: str, code: int
) -> None:
    if code:  # beside its decision boundaries, no model of 8 bits answers as the float model does
        values = random(20000, 4, seed=5)
        logits = np.sort(onnx_runtime(mlp(), {"x": values})["logits"], axis=1)
        np.savez(folder / "calib.npz", x=values[np.argsort(logits[:, -1] - logits[:, -2])[:64]])
    variables = {
        "MODEL": "net.onnx", "DATA": "calib.npz", "OUTPUT": "net.w6.onnx", "BITS": "6",
        "MAX_DROP": max_drop, "TIME_BUDGET": "0.2s",
    }  # fmt: skip
    done = run(folder, "bash", "-ec", "\n".join(job_commands()[1:]), **variables)
    assert done.returncode == code, done.stdout + done.stderr
    assert (folder / "quantize.jsonl").exists()
    if code == 0:
        assert "All is as recorded." in done.stdout
        assert (folder / "quantize.json").read_text().startswith("{")


# The Makefile


@pytest.fixture
def make() -> str:
    found = shutil.which("make")
    if found is None:
        pytest.skip("needs make")
    return found


def test_the_rule_makes_a_model_and_makes_it_again_when_data_are_newer(
    folder: Path, make: str
) -> None:
    rule = (
        make,
        "-f",
        str(EXAMPLES / "Makefile"),
        "net.w6.onnx",
        "MAX_DROP=100",
        "TIME_BUDGET=0.2s",
    )
    done = run(folder, *rule)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All is as recorded." in done.stdout
    assert (folder / "net.w6.jsonl").exists()
    assert "is up to date" in run(folder, *rule).stdout
    later = time.time() + 60
    os.utime(folder / "calib.npz", (later, later))
    assert "onnx-evoq optimize net.onnx --bits 6" in run(folder, *rule, "--dry-run").stdout


def test_the_rule_takes_other_widths_and_options(folder: Path, make: str) -> None:
    done = run(
        folder, make, "-f", str(EXAMPLES / "Makefile"), "net.w4.onnx", "BITS=4",
        "OPTIONS=--strategy none", "--dry-run",
    )  # fmt: skip
    shown = " ".join(done.stdout.replace("\\\n", " ").split())
    assert "optimize net.onnx --bits 4 --data calib.npz --max-drop 1" in shown
    assert "--output net.w4.onnx --log-file net.w4.jsonl --strategy none" in shown


def test_a_model_that_fails_leaves_no_file(folder: Path, make: str) -> None:
    (folder / "net.onnx").write_bytes(b"damaged")
    done = run(folder, make, "-f", str(EXAMPLES / "Makefile"), "net.w6.onnx")
    assert done.returncode == 2
    assert not (folder / "net.w6.onnx").exists()


# The hook


def entry_of(key: str) -> str:
    (value,) = re.findall(rf"^  {key}: '?(.*?)'?$", HOOK, re.MULTILINE)
    return str(value)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("a/net.w6.onnx", True), ("net.w4a8.onnx", True), ("net.w8a16.vitis.onnx", True),
        ("net.mixed.onnx", True), ("net.mixed.esp-dl.onnx", True), ("net.onnx", False),
        ("net.w9.onnx", False), ("net.w6.h", False), ("netw6.onnx", False),
    ],
)  # fmt: skip
def test_the_hook_takes_the_names_that_commands_give(name: str, ours: bool) -> None:
    assert (re.search(entry_of("files"), name) is not None) == ours


def test_the_hook_fails_for_a_model_that_is_not_what_it_was(folder: Path) -> None:
    words = entry_of("entry").split()
    assert words[0] == "onnx-evoq"
    made = folder / "net.w8.onnx"
    small = ("--strategy", "none", "--samples", 16, "--quiet")
    assert run_command("optimize", folder / "net.onnx", "--bits", 8, *small).exit_code == 0
    assert run_command(*words[1:], made).exit_code == 0
    content = made.read_bytes()
    made.write_bytes(content.replace(b"layer1", b"layer9"))
    assert run_command(*words[1:], made).exit_code == 1

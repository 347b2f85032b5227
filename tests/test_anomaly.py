"""The example with a metric of its own: detecting anomalies in telemetry, scored by F1."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import run

import onnx_evoq
from onnx_evoq import Data, EvoqError
from onnx_evoq.model import load

EXAMPLE = Path(__file__).parent.parent / "examples" / "anomaly.py"
FLOAT_F1 = 0.585  # as models/README.md has it

NORMAL, ANOMALY, TRAINING = 0, 1, 2


@pytest.fixture
def example() -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLE))


@pytest.fixture
def model(models: Path) -> Path:
    return models / "anomaly_autoencoder.onnx"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ramps of 140 and 148 time steps: 4 training and 6 test windows per channel."""
    rows = ["chan_id,anomaly_sequences"]
    for split, steps in (("train", 140), ("test", 148)):
        (tmp_path / split).mkdir()
        for channel in ("A-1", "E-1", "P-1", "T-1"):
            telemetry = np.stack([np.arange(steps), np.zeros(steps)], axis=1)  # (time, columns)
            np.save(tmp_path / split / f"{channel}.npy", telemetry)
    rows += [f'{channel},"[[0, 3], [147, 147]]"' for channel in ("P-1", "T-1", "A-1", "E-1")]
    (tmp_path / "labeled_anomalies.csv").write_text("\n".join(rows))
    monkeypatch.setenv("ANOMALY_DATA", str(tmp_path))
    return tmp_path


def residuals(errors: list[float]) -> dict[str, np.ndarray]:
    """Residuals (n, 1, 4) whose mean squares are the errors."""
    return {"residual": np.sqrt(errors)[:, None, None] * np.array([1, -1, 1, -1.0])}


def test_f1_by_hand(example: dict[str, Any]) -> None:
    # On channel 0 more than MARGIN * 1 is flagged, on channel 1 more than MARGIN * 10
    kinds = [TRAINING, TRAINING, NORMAL, NORMAL, ANOMALY, ANOMALY]
    labels = np.array([[channel, kind] for channel in (0, 1) for kind in kinds])
    errors = [1, 1, 0.5, 9, 9, 1.1, 10, 10, 10, 10.1, 99, 100]
    # Four windows are flagged, three of them are anomalies, and there are four anomalies
    assert example["f1"](residuals(errors), labels) == pytest.approx(2 * 3 / (4 + 4))


def test_f1_does_not_count_training_windows(example: dict[str, Any]) -> None:
    labels = np.array([[0, TRAINING]] * 99 + [[0, TRAINING], [0, NORMAL], [0, ANOMALY]])
    errors = [1.0] * 99 + [100, 1, 2]
    assert example["f1"](residuals(errors), labels) == 1


def test_f1_follows_the_errors_of_the_model_under_test(example: dict[str, Any]) -> None:
    labels = np.array([[0, TRAINING], [0, NORMAL], [0, ANOMALY]])
    assert example["f1"](residuals([1, 1, 2]), labels) == 1
    assert example["f1"](residuals([5, 5, 10]), labels) == 1
    assert example["f1"](residuals([5, 5, 5]), labels) == 0


def test_windows_and_labels(example: dict[str, Any], folder: Path) -> None:
    feeds = list(example["test"]())
    assert [feed["input"].shape for feed in feeds] == [(4, 1, 128), (6, 1, 128)] * 4
    assert feeds[1]["input"][2, 0, :2].tolist() == [8, 9]  # the third window begins at step 8
    assert feeds[2]["y"].tolist() == [[1, TRAINING]] * 4
    # Steps 0 to 3 are in the first window alone, step 147 in the last alone
    assert feeds[3]["y"].tolist() == [[1, kind] for kind in (1, 0, 0, 0, 0, 1)]


def test_calibration_has_training_windows_only(example: dict[str, Any], folder: Path) -> None:
    (feed,) = example["calibration"]()
    assert list(feed) == ["input"]
    assert sorted(feed["input"][:, 0, 0].tolist()) == sorted([0, 4, 8, 12] * 4)


def test_a_missing_folder_is_one_sentence(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANOMALY_DATA", raising=False)
    with pytest.raises(EvoqError, match="set ANOMALY_DATA to the folder that holds train/"):
        onnx_evoq.evaluate(model, Data(f"{EXAMPLE}:test"), metric=f"{EXAMPLE}:f1")


def test_the_model_has_twelve_layers_with_weights(model: Path) -> None:
    weights = onnx_evoq.inspect(model).weights
    assert [weight.op_type for weight in weights] == ["Conv"] * 6 + ["ConvTranspose"] * 6
    assert model.stat().st_size < 400_000


def test_the_residual_is_that_of_the_window_at_mean_0_and_deviation_1(model: Path) -> None:
    wave = np.sin(np.arange(128) / 9, dtype=np.float32)[None, None]  # (1, 1, 128)
    plain = run(load(model), {"input": wave})["residual"]
    moved = run(load(model), {"input": np.concatenate([wave, 1000 * wave + 300])})["residual"]
    assert plain.shape == (1, 1, 128)
    assert moved.shape == (2, 1, 128)
    np.testing.assert_allclose(moved[0], plain[0], atol=1e-5)
    np.testing.assert_allclose(moved[1], plain[0], atol=0.1)  # but for the 0.05 that is added


def test_the_example_runs_from_end_to_end(model: Path, folder: Path) -> None:
    calibration, test = Data(f"{EXAMPLE}:calibration"), Data(f"{EXAMPLE}:test")
    rounding = onnx_evoq.Strategy("none", init="nearest")
    result = onnx_evoq.optimize(model, calibration, bits=5, strategy=rounding)
    evaluation = onnx_evoq.evaluate(result.model, test, metric=f"{EXAMPLE}:f1")
    assert result.metric == "mse"
    assert evaluation.samples == 40
    assert 0 <= evaluation.value <= 1


@pytest.mark.shared
def test_the_float_f1_is_the_one_stated(
    model: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANOMALY_DATA", str(shared / "anomaly_smap"))
    evaluation = onnx_evoq.evaluate(model, Data(f"{EXAMPLE}:test"), metric=f"{EXAMPLE}:f1")
    assert evaluation.value == pytest.approx(FLOAT_F1, abs=0.0005)


def test_the_stated_float_f1_is_in_the_table_of_models(models: Path) -> None:
    lines = (models / "README.md").read_text(encoding="utf-8").splitlines()
    row = next(line for line in lines if line.startswith("| `anomaly_autoencoder.onnx` |"))
    assert f"F1 {FLOAT_F1}" in row

"""Real models and data from outside the project, where they are at hand."""

from pathlib import Path

import pytest
from calls import optimize

import onnx_evoq
from onnx_evoq import Data

pytestmark = pytest.mark.shared

CIFAR = {"divide": 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@pytest.mark.parametrize(("bits", "within"), [(8, 0.006), (6, 0.015)])
def test_resnet20_stays_near_its_float_accuracy(shared: Path, bits: int, within: float) -> None:
    folder = shared / "cifar10"
    test = Data(folder / "test.npz", samples=2000, **CIFAR)
    result = optimize(
        folder / "resnet20.onnx",
        Data(folder / "calib.npz", samples=64, **CIFAR),
        bits=bits,
        strategy="none",
    )
    before = onnx_evoq.evaluate(folder / "resnet20.onnx", test)
    after = onnx_evoq.evaluate(result.model, test)
    # As the whole test set has it, within a standard error of these 2,000 images
    assert before.value == pytest.approx(0.9173, abs=0.006)
    assert after.value > before.value - within


def test_four_bits_need_a_search(shared: Path) -> None:
    folder = shared / "cifar10"
    test = Data(folder / "test.npz", samples=1000, **CIFAR)
    calibration = Data(folder / "calib.npz", samples=64, **CIFAR)
    model = folder / "resnet20.onnx"
    rounded = optimize(model, calibration, bits=4, strategy="none")
    evolved = optimize(model, calibration, bits=4, population=4, generations=8, mutation_rate=0.01)
    before, after = (onnx_evoq.evaluate(r.model, test).value for r in (rounded, evolved))
    assert 0.67 < before < 0.77
    assert after > before + 0.02


def test_a_detector_with_six_outputs_and_a_batch_of_one_works(shared: Path) -> None:
    model = shared / "detection" / "nanodet_320.onnx"
    result = optimize(model, Data(samples=4), bits=8, granularity="channel", strategy="none")
    assert result.metric == "channel_nmse"
    assert result.scores["evolved"].heldout < 0.05


@pytest.mark.parametrize("name", ["ad_autoencoder", "vww_mobilenet", "ic_resnet8"])
def test_models_of_a_benchmark_for_microcontrollers_work(shared: Path, name: str) -> None:
    model = shared / "mlperf_tiny" / f"{name}.onnx"
    result = optimize(model, Data(samples=16), bits=8, granularity="channel", strategy="none")
    assert result.bytes_after < 0.4 * result.bytes_before
    evaluation = onnx_evoq.evaluate(
        result.model, Data(samples=16), metric="sqnr", reference=model, seed=1
    )
    assert evaluation.value > 20


def test_a_folder_of_images_is_calibration_data(shared: Path) -> None:
    folder = shared / "imagenet_sample"
    images = Data(
        folder / "images",
        labels=folder / "labels.csv",
        split="test",
        samples=40,
        crop=224,
        **CIFAR,
    )
    evaluation = onnx_evoq.evaluate(folder / "squeezenet1_1.onnx", images)
    assert evaluation.metric == "top1"
    assert 0.4 < evaluation.value < 0.85  # 62.8 percent of all, within three standard errors


def test_a_model_of_two_rates_with_an_lstm_keeps_output_and_state(shared: Path) -> None:
    model, frames = shared / "field" / "silero_vad.onnx", shared / "field" / "silero_frames.py"
    result = optimize(
        model, Data(f"{frames}:calib", samples=64), bits=4, granularity="channel", strategy="none"
    )
    assert any("8 of 16 weights are in branches that no sample takes" in n for n in result.notes)
    test = Data(f"{frames}:test", samples=100)
    evaluation = onnx_evoq.evaluate(result.model, test, reference=model, metric="sqnr")
    assert evaluation.value > 42  # the mean of both; 37 with nearest rounding

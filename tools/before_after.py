"""Print a float model, its nearest-rounded and its evolved form side by side on test data."""

import argparse
from pathlib import Path

import onnx_evoq
from onnx_evoq.report.tables import size, table


def main() -> None:
    """Evaluate the three files and print one row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("float", type=Path)
    parser.add_argument("nearest", type=Path)
    parser.add_argument("evolved", type=Path)
    parser.add_argument("--data", required=True)
    given = parser.parse_args()
    rows = []
    for name in ("float", "nearest", "evolved"):
        model: Path = getattr(given, name)
        score = onnx_evoq.evaluate(model, given.data, metric="top1", reference=given.float)
        rows.append(
            [
                name,
                f"{100 * score.value:.2f} %",
                f"{100 * (score.agreement or 0):.2f} %",
                f"{score.kl:.4f}",
                size(model.stat().st_size),
            ]
        )
    print(table(["", "top1", "same answer as float", "kl", "file"], rows))


if __name__ == "__main__":
    main()

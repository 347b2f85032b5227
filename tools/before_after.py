"""Print a float model, its nearest-rounded and its evolved form side by side on test data.

A row for each shows top-1, the share of answers that are the float model's, the divergence of the
answers (kl), and the size of the file. The data need labels.

    python tools/before_after.py FLOAT.onnx NEAREST.onnx EVOLVED.onnx --data test.npz
"""

import argparse
from pathlib import Path

import onnx_evoq
from onnx_evoq.report import size, table


def main() -> None:
    """Evaluate the three files and print one row each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("float", type=Path, help="an ONNX file, as are the next two")
    parser.add_argument("nearest", type=Path)
    parser.add_argument("evolved", type=Path)
    parser.add_argument("--data", required=True, help="test data, as onnx-evoq takes them")
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

"""Measure the front of `search` against uniform widths and greedy choices by sensitivity.

For each model, it prints the summary of a search with channel expansion and of one without, in
which the hypervolumes of the three stand. A table follows for the sizes of 4 and of 3 uniform bits:

- the error of the front's point on held-out samples, as a share of the uniform one's;
- the same share, the mean squared errors (mse) and the scores (top-1 in percent) of both on test
  data that neither selected nor accepted, after each was optimized: reconstructed, or with --tune
  evolved for so many seconds.

bench_accuracy_cases.py says which models and data DIR holds.

    python tools/bench_search.py --shared DIR
    python tools/bench_search.py --shared DIR --only ic_resnet8 --with-only --per-channel
    python tools/bench_search.py --shared DIR --granularity tensor --samples 512 --seed 1 \\
        --time-budget 300 --tune 60 --json
"""

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench_accuracy_cases import CASES
from bench_optimize import machine

import onnx_evoq
from onnx_evoq import Grid, ParetoPoint, SearchSpace
from onnx_evoq.report import search_text, table

MODELS = ("resnet20", "ic_resnet8")
WIDTHS = (4, 3)  # uniform, at whose sizes points are compared


def main() -> None:
    """Measure model by model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, required=True, help="folder of models and data")
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=MODELS)
    parser.add_argument("--samples", type=int, default=1024, help="to calibrate on")
    parser.add_argument("--time-budget", type=float, default=600.0, help="seconds of each search")
    parser.add_argument("--tune", type=float, help="seconds that each point is optimized")
    parser.add_argument(
        "--granularity", choices=["tensor", "channel", "any"], default="any", help="of the steps"
    )
    parser.add_argument("--per-channel", action="store_true", help="widths of groups of channels")
    parser.add_argument("--with-only", action="store_true", help="no search without expansion")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one object per model")
    given = parser.parse_args()
    out = sys.stderr if given.json else sys.stdout
    print(machine(), file=out, flush=True)
    for name in given.only:
        result = measured(given, name, out)
        if given.json:
            print(json.dumps(result), flush=True)


def measured(given: argparse.Namespace, name: str, out: Any) -> dict[str, Any]:
    """Search one model, and judge the points at the sizes of uniform widths on test data."""
    model = given.shared / CASES[name].model
    with ExitStack() as stack:
        calibration, test = CASES[name].data(given.shared, given.samples, stack)
        ways = {"with": True} if given.with_only else {"with": True, "without": False}
        found = {}
        for way, expansion in ways.items():
            found[way] = onnx_evoq.search_bits(
                model,
                calibration,
                space=SearchSpace(per_channel=given.per_channel, expansion=expansion),
                grid=Grid(granularity=given.granularity),
                time_budget=given.time_budget,
                seed=given.seed,
            )
            print(f"\n{name}, {way} channel expansion\n{search_text(found[way])}", file=out)
        points, rows = [], []
        for width in WIDTHS:
            for way, search in found.items():
                uniform = next(p for p in search.uniform if width_of(p) == width)
                point = search.pick(budget=uniform.packed_bytes)
                row: dict[str, Any] = {
                    "width": width,
                    "expansion": way,
                    "packed_bytes": point.packed_bytes,
                    "uniform_bytes": uniform.packed_bytes,
                    "heldout_ratio": point.heldout / uniform.heldout,
                }
                for label, each in (("uniform", uniform), ("point", point)):
                    made = onnx_evoq.optimize(
                        model,
                        calibration,
                        policy=each,
                        strategy="none" if given.tune is None else "neuroevolution",
                        time_budget=given.tune,
                        seed=given.seed,
                    )
                    score = onnx_evoq.evaluate(made.model, test, reference=model)
                    row |= {
                        f"{label}_test": score.value,
                        f"{label}_test_mse": score.mse,
                        f"{label}_test_agreement": score.agreement,
                        f"{label}_bytes": made.packed_bytes,
                    }
                points.append(row)
                rows.append(
                    [
                        str(width),
                        way,
                        f"{row['heldout_ratio']:.3f}",
                        f"{row['point_test_mse'] / row['uniform_test_mse']:.3f}",
                        f"{row['uniform_test_mse']:.4g}",
                        f"{row['point_test_mse']:.4g}",
                        f"{100 * row['uniform_test']:.2f}",
                        f"{100 * row['point_test']:.2f}",
                    ]
                )
    header = ["bits", "split", "held-out", "test mse", "uniform", "front", "uniform", "front"]
    print(f"\n{name}: shares of the uniform error; test mse; test score", file=out)
    print(table(header, rows, 2), file=out, flush=True)
    return {
        "model": name,
        "points": points,
        **{f"{way}_expansion": search.to_dict() for way, search in found.items()},
    }


def width_of(point: ParetoPoint) -> int:
    """The width of a uniform point."""
    first = next(iter(point.policy.bits.values()))
    return first if isinstance(first, int) else first[0]


if __name__ == "__main__":
    main()

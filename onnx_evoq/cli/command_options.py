"""The options that one command has for itself."""

from pathlib import Path

import click

from onnx_evoq.cli.option_types import BITS_FOR, BYTES, DURATION
from onnx_evoq.cli.shared_options import stacked
from onnx_evoq.setup import MAX_BITS, MIN_BITS

WIDTH_OPTIONS = stacked(
    click.option(
        "--bits",
        type=click.IntRange(MIN_BITS, MAX_BITS),
        help="The width of the weights' codes. The file holds 5 to 8 bits in INT8, 3 and 4 in "
        "INT4, 2 in INT2.",
    ),
    click.option(
        "--bits-for",
        type=BITS_FOR,
        multiple=True,
        metavar="PATTERN=N",
        help="Another width for matching weights ('conv1*=8'). Repeatable.",
    ),
    click.option(
        "--policy",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A JSON file with the bits, the granularity and the expansion of each weight, as "
        "search --save-policy writes it, instead of --bits. What it does not say is as given "
        "here.",
    ),
)

STRATEGY_OPTIONS = stacked(
    click.option(
        "--strategy",
        type=click.Choice(["neuroevolution", "coevolution", "none"]),
        default="neuroevolution",
        show_default=True,
        help="How to search: layer by layer, or all weights together, the least certain codes "
        "first; none emits the start.",
    ),
    click.option(
        "--init",
        type=click.Choice(["reconstruct", "nearest"]),
        default="reconstruct",
        show_default=True,
        help="Where the search starts: codes that keep the output of each layer, or rounding.",
    ),
    click.option(
        "--population",
        type=click.IntRange(min=1),
        help="Candidates that stay after each iteration. Default: 4 from a reconstruction, 32 "
        "from nearest rounding. In coevolution, candidates that are drawn at a time; "
        "default: 32.",
    ),
    click.option(
        "--generations",
        type=click.IntRange(min=0),
        help="Iterations per weight, and pass. Default: 64. In coevolution, groups of weights "
        "that are searched; default: 1024.",
    ),
    click.option(
        "--mutation-rate",
        type=click.FloatRange(0, 1, min_open=True),
        help="Probability that a code moves. Default: about 3 codes of a weight from a "
        "reconstruction, 0.02 from nearest rounding. In coevolution, the share of all codes "
        "in the first group; default: 0.002 and 0.05.",
    ),
)

OPTIMIZE_OPTIONS = stacked(
    click.option(
        "--output",
        "-o",
        type=click.Path(path_type=Path),
        help="Where to write; - is standard output. Default: beside MODEL, NAME.w6.onnx for 6 "
        "bits, NAME.mixed.onnx for a policy.",
    ),
    click.option(
        "--time-budget",
        type=DURATION,
        default="4m",
        show_default=True,
        help="When ranking and search stop: 90s, 10m, 2h, or none.",
    ),
    click.option(
        "--max-drop",
        type=click.FloatRange(0, 100),
        metavar="PERCENT",
        help="Stop before the held-out samples lose more: points of top-1 with labels, else the "
        "share of answers that change (of the outputs' power, where they are no class "
        "scores). Weights not reached stay at 8 bits.",
    ),
    click.option(
        "--format",
        "form",
        type=click.Choice(["qdq", "float"]),
        default="qdq",
        show_default=True,
        help="Integer weights with DequantizeLinear, or float weights on the grid.",
    ),
)

SPACE_OPTIONS = stacked(
    click.option(
        "--granularity",
        type=click.Choice(["tensor", "channel", "any"]),
        default="any",
        show_default=True,
        help="One step per tensor, or per output channel, or for each layer what pays. Uniform "
        "widths, for comparison, have one per tensor unless it is channel.",
    ),
    click.option(
        "--per-channel",
        is_flag=True,
        help="Let groups of a layer's channels have widths of their own; not with --granularity "
        "tensor.",
    ),
    click.option(
        "--expansion/--no-expansion",
        default=True,
        show_default=True,
        help="Let channels be split in two, where the graph allows it (see inspect).",
    ),
    click.option(
        "--size",
        type=click.Choice(["packed", "file"]),
        default="packed",
        show_default=True,
        help="Which bytes count: codes at their own widths, or as an ONNX file stores them (2, 4 "
        "or 8 bits).",
    ),
)

CHOICE_OPTIONS = stacked(
    click.option(
        "--budget",
        type=BYTES,
        metavar="SIZE",
        help="Optimize the point of the front with the least error that is no larger: 120kB, say.",
    ),
    click.option(
        "--max-drop",
        type=click.FloatRange(0, 100),
        metavar="PERCENT",
        help="Optimize the smallest point that loses no more on the held-out samples, measured as "
        "for optimize.",
    ),
    click.option(
        "--policy",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Optimize the choice in this file, as --save-policy writes it, without a search.",
    ),
)

SEARCH_OPTIONS = stacked(
    click.option(
        "--output",
        "-o",
        type=click.Path(path_type=Path),
        help="Where to write the optimized model; - is standard output. Default: beside MODEL, "
        "NAME.mixed.onnx.",
    ),
    click.option(
        "--save-policy",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Write the chosen point as JSON, for --policy.",
    ),
    click.option(
        "--picture",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Draw the front, .png or .svg (needs Matplotlib).",
    ),
    click.option(
        "--time-budget",
        type=DURATION,
        default="10m",
        show_default=True,
        help="When the search begins nothing new, though not before the uniform widths are built: "
        "90s, 10m, 2h, or none.",
    ),
    click.option(
        "--tune-budget",
        type=DURATION,
        default="4m",
        show_default=True,
        help="How long the point that is picked is optimized.",
    ),
)

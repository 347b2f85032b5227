"""The options of single commands, and the groups that two commands have."""

from pathlib import Path

import click

from onnx_evoq.cli.options.option_types import BITS_FOR, BYTES, DURATION
from onnx_evoq.cli.options.shared_options import stacked
from onnx_evoq.setup import MAX_BITS, MIN_BITS
from onnx_evoq.targets import TARGETS

WIDTH_OPTIONS = stacked(
    click.option(
        "--bits",
        type=click.IntRange(MIN_BITS, MAX_BITS),
        help="The width of all weights in bits. The file stores 5 to 8 bits as INT8, 3 and 4 bits "
        "as INT4, and 2 bits as INT2.",
    ),
    click.option(
        "--bits-for",
        type=BITS_FOR,
        multiple=True,
        metavar="PATTERN=N",
        help="Another width in bits for the weights, or nodes, whose name matches the pattern: "
        "'conv1*=8'. Repeatable; the last match counts.",
    ),
    click.option(
        "--policy",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Instead of --bits: a JSON file with the width, the granularity and the share of "
        "split channels of each weight, as search --save-policy writes it.",
    ),
)

STRATEGY_OPTIONS = stacked(
    click.option(
        "--strategy",
        type=click.Choice(["neuroevolution", "coevolution", "none"]),
        default="neuroevolution",
        show_default=True,
        help="How to search for better codes: neuroevolution layer by layer, coevolution in all "
        "layers together, the least certain codes first; none makes no search.",
    ),
    click.option(
        "--init",
        type=click.Choice(["reconstruct", "nearest"]),
        default="reconstruct",
        show_default=True,
        help="Where the search starts: from codes that keep the output of each layer, computed in "
        "closed form, or from nearest rounding.",
    ),
    click.option(
        "--population",
        type=click.IntRange(min=1),
        help="Candidates that survive each generation of the search. Default: 4 with --init "
        "reconstruct, 32 with --init nearest. With coevolution, candidates that are drawn in each "
        "generation; default: 32.",
    ),
    click.option(
        "--generations",
        type=click.IntRange(min=0),
        help="Generations of the search per weight and pass over the model, and of formats before "
        "it, at most. Default: 64. With coevolution, generations of all weights together; "
        "default: 1024.",
    ),
    click.option(
        "--mutation-rate",
        type=click.FloatRange(0, 1, min_open=True),
        help="Probability that a candidate changes a code. Default: 3 codes per weight, on "
        "average, with --init reconstruct, 0.02 with --init nearest. With coevolution, the share "
        "of all codes that the first group has; default: 0.002 and 0.05.",
    ),
)

TARGET = click.option(
    "--target",
    type=click.Choice(list(TARGETS)),
    metavar="NAME",
    help=f"The runtime that the file is for: {', '.join(TARGETS)}. It sets what the runtime "
    "documents: the types of codes, zero points, narrow range, storage, operator set and "
    "batch; an option that contradicts it is refused. Default: onnxruntime.",
)

OPTIMIZE_OPTIONS = stacked(
    click.option(
        "--output",
        "-o",
        type=click.Path(path_type=Path),
        help="The file to write; - is standard output. Default: in the folder of MODEL, "
        "NAME.w6.onnx for 6 bits, NAME.w6a8.onnx with activations, NAME.mixed.onnx for a policy; "
        "NAME.w6.vitis.onnx for a target, NAME.w6.h for a C header.",
    ),
    click.option(
        "--time-budget",
        type=DURATION,
        default="4m",
        show_default=True,
        help="Time that all of it may take, loading and the final scores included: 90s, 10m, 2h, "
        "or none for the full method.",
    ),
    click.option(
        "--max-drop",
        type=click.FloatRange(0, 100),
        metavar="PERCENT",
        help="What the model may lose on the held-out samples: points of top-1 with labels, "
        "otherwise the percentage of answers that change (where the outputs are no class scores, "
        "the error as a percentage of their power). The most sensitive weights stay at 8 bits, as "
        "few as possible.",
    ),
    click.option(
        "--format",
        "form",
        type=click.Choice(["qdq", "float", "qonnx", "c"]),
        help="How the file stores weights: qdq as integers with DequantizeLinear, float as floats "
        "on the grid, qonnx as floats with Quant nodes of exact widths; c writes a C header in "
        "place of a model, with the codes, shifts and biases of each layer. Default: what the "
        "target reads, qdq.",
    ),
    click.option(
        "--storage",
        type=click.Choice(["auto", "int8", "int4", "int2"]),
        default="auto",
        show_default=True,
        help="The narrowest integer type that holds codes of weights. More runtimes read int8 than "
        "int4, and int4 than int2.",
    ),
)

SPACE_OPTIONS = stacked(
    click.option(
        "--granularity",
        type=click.Choice(["tensor", "channel", "any"]),
        default="any",
        show_default=True,
        help="The steps of the grid: one per tensor, one per output channel, or for each layer "
        "the better of both. With any, the uniform widths that are shown for comparison have one "
        "step per tensor.",
    ),
    click.option(
        "--per-channel",
        is_flag=True,
        help="Let groups of a layer's channels have different widths; not with --granularity "
        "tensor.",
    ),
    click.option(
        "--expansion/--no-expansion",
        default=True,
        show_default=True,
        help="Whether channels may be split in two, where the graph allows it (onnx-evoq inspect "
        "shows where).",
    ),
    click.option(
        "--size",
        type=click.Choice(["packed", "file"]),
        default="packed",
        show_default=True,
        help="Which bytes count as the size: those of codes at their own widths, or those of the "
        "ONNX file, which stores codes in 2, 4 or 8 bits.",
    ),
)

CHOICE_OPTIONS = stacked(
    click.option(
        "--budget",
        type=BYTES,
        metavar="SIZE",
        help="Choose the point of the front with the lowest error that is no larger than this "
        "(120kB, for example), and optimize it.",
    ),
    click.option(
        "--max-drop",
        type=click.FloatRange(0, 100),
        metavar="PERCENT",
        help="Choose the smallest point that loses no more on the held-out samples, and optimize "
        "it: points of top-1 with labels, otherwise the percentage of answers that change (where "
        "the outputs are no class scores, the error as a percentage of their power).",
    ),
    click.option(
        "--policy",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Make no search, and optimize the point in this JSON file, as --save-policy writes "
        "it.",
    ),
)

SEARCH_OPTIONS = stacked(
    click.option(
        "--output",
        "-o",
        type=click.Path(path_type=Path),
        help="The file to write the optimized model to; - is standard output. Default: "
        "NAME.mixed.onnx in the folder of MODEL.",
    ),
    click.option(
        "--save-policy",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Write the chosen point to this JSON file, which the option --policy of search and "
        "optimize takes.",
    ),
    click.option(
        "--picture",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Draw size against error of all points to this file: .png, .svg or others (needs "
        "Matplotlib).",
    ),
    click.option(
        "--time-budget",
        type=DURATION,
        default="10m",
        show_default=True,
        help="Time that all of it may take, loading, the optimization of a chosen point and all "
        "scores included: 90s, 10m, 2h, or none for the full method.",
    ),
    click.option(
        "--tune-budget",
        type=DURATION,
        help="Time that the optimization of the chosen point may take: 90s, 10m, 2h, or none. The "
        "search then has all of --time-budget. Default: 3 tenths of --time-budget, and what the "
        "search left.",
    ),
)

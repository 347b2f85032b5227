"""The options that several commands share, by topic."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from onnx_evoq.cli.options.option_types import BYTES, CLUSTER, NUMBERS, RANGE, SIDE, read_config
from onnx_evoq.metrics import METRIC_NAMES
from onnx_evoq.setup import MAX_ACTIVATION_BITS, MIN_BITS

Command = Callable[..., Any]

MODEL = click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))

_METRIC_HELP = (
    f"What to measure: auto, {', '.join(METRIC_NAMES)}, or your own function of (outputs, labels) "
    "as package.module:function or file.py:function, with an attribute higher_is_better."
)


def stacked(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Combine several decorators into one; the first is the outermost."""

    def apply(command: Command) -> Command:
        return functools.reduce(lambda inner, decorate: decorate(inner), decorators[::-1], command)

    return apply


DATA_OPTIONS = stacked(
    click.option(
        "--data",
        help="The samples: an .npz file (arrays named like the model's inputs, or x; labels in y), "
        "an .npy file, a folder of images or of .npz and .npy files with the inputs of one run "
        "each, or a function as package.module:function or file.py:function that returns {input: "
        "array} feeds or a CalibrationDataReader of ONNX Runtime. Shapes may differ from feed to "
        "feed. Without data, synthetic inputs are drawn.",
    ),
    click.option(
        "--labels",
        type=click.Path(exists=True, dir_okay=False),
        help="For a folder of images: a CSV file with columns file, label and optionally split.",
    ),
    click.option(
        "--split", help="Use only the rows of the --labels file with this value in column split."
    ),
    click.option(
        "--samples",
        type=click.IntRange(min=1),
        help="Use at most this number of samples, the first ones; from folders of classes, in "
        "turn.",
    ),
    click.option("--divide", type=float, help="Divide the samples by this, 255 for example."),
    click.option(
        "--mean",
        type=NUMBERS,
        help="Subtract this from the samples after --divide: one number, or one per channel: "
        "0.485,0.456,0.406.",
    ),
    click.option(
        "--std",
        type=NUMBERS,
        help="Divide the samples by this after --mean: one number, or one per channel.",
    ),
    click.option(
        "--layout",
        type=click.Choice(["nchw", "nhwc"]),
        help="The image layout that the model takes. Default: the one that fits its input.",
    ),
    click.option(
        "--color",
        type=click.Choice(["rgb", "bgr"]),
        default="rgb",
        show_default=True,
        help="The order of color channels that the model takes.",
    ),
    click.option(
        "--resize",
        type=SIDE,
        help="Resize images to this: pixels of the shorter side, or HEIGHTxWIDTH.",
    ),
    click.option(
        "--crop",
        type=SIDE,
        help="Use the centre of the images, after --resize: pixels of a square, or HEIGHTxWIDTH.",
    ),
    click.option(
        "--input-range",
        type=RANGE,
        metavar="LOW,HIGH",
        help="Without data: the lowest and the highest value of the synthetic inputs, but for "
        "indices and masks. Default: what the model's first nodes or its BatchNormalization nodes "
        "expect, else about -2,2.",
    ),
)

COMMON_OPTIONS = stacked(
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Seed of all random draws; the same seed gives the same bytes.",
    ),
    click.option(
        "--providers",
        help="Execution providers of ONNX Runtime, in order of preference: cuda,cpu. Default: cpu.",
    ),
    click.option(
        "--custom-ops",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        multiple=True,
        metavar="LIBRARY",
        help="A library that holds operators of the model, for ONNX Runtime. Repeatable.",
    ),
    click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=read_config,
        help="A TOML file with options of this and other commands; options on the command line "
        "override it.",
    ),
    click.option("--quiet", "-q", is_flag=True, help="Show no progress and no notes on stderr."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout."),
)

REPORT = click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a page (HTML) that shows the result: a verdict, errors by layer, samples whose "
    "answer changed, what to do next (needs Matplotlib).",
)

GRANULARITY = click.option(
    "--granularity",
    type=click.Choice(["tensor", "channel"]),
    default="tensor",
    show_default=True,
    help="The steps of the grid: one per tensor, or one per output channel.",
)

GRID_OPTIONS = stacked(
    click.option(
        "--scale",
        type=click.Choice(["pow2", "float"]),
        default="pow2",
        show_default=True,
        help="The values of steps: pow2 for powers of two, float for any number.",
    ),
    click.option(
        "--keep",
        multiple=True,
        metavar="PATTERN",
        help="Leave weights float whose name, or whose node's name, matches the pattern: 'fc*'. "
        "Repeatable.",
    ),
    click.option(
        "--narrow-range",
        is_flag=True,
        help="Leave out the lowest code of 8 bits, -128, which some runtimes do not take.",
    ),
    click.option(
        "--activations",
        type=click.IntRange(MIN_BITS, MAX_ACTIVATION_BITS),
        metavar="BITS",
        help="Quantize activations, too, to codes of this width, 2 to 16; weights are then stored "
        "as INT8. With 8 bits or fewer the model runs on integer kernels; its inputs and outputs "
        "keep 8 bits or floats. Default: they stay floats.",
    ),
    click.option(
        "--activation-scale",
        type=click.Choice(["pow2", "float"]),
        default="pow2",
        show_default=True,
        help="The values of the steps of activations: pow2 for powers of two, float for any.",
    ),
)

REQUANTIZE = click.option(
    "--requantize",
    is_flag=True,
    help="Quantize weights anew that are quantized already: codes with DequantizeLinear. Without "
    "it, they stay as they are.",
)

RESOURCE_OPTIONS = stacked(
    click.option(
        "--memory",
        type=BYTES,
        metavar="SIZE",
        help="The memory that the whole process may hold, 500MB for example; activations beyond "
        "that go to a temporary file, and samples take a quarter at most. Default: half of the "
        "free memory for activations.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        help="Use this number of cores, for NumPy and ONNX Runtime alike; the result is the same. "
        "Default: all cores.",
    ),
    click.option(
        "--cluster",
        type=CLUSTER,
        metavar="ADDRESS",
        help="Share the work with the workers of a Dask cluster, by the address of its scheduler "
        "(tcp://host:8786), or local:4 for four worker processes of this machine. It needs the "
        "extra onnx-evoq[cluster]; the result is the same. Default: none, this machine alone.",
    ),
)

HOLDOUT = click.option(
    "--holdout",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.25,
    show_default=True,
    help="Share of the samples that are held out: they accept or reject what the others selected.",
)

METRIC = click.option("--metric", default="auto", show_default=True, help=_METRIC_HELP)

SCORE_AT = click.option(
    "--score-at",
    multiple=True,
    metavar="TENSOR",
    help="Compare models at this tensor of floats of the main graph, in place of the outputs; "
    "repeatable. Default: the outputs, or the nearest tensors of floats before those that cannot "
    "be compared (variable rows, maps, sequences, strings, whole numbers). A metric of your own "
    "takes the outputs in any case.",
)

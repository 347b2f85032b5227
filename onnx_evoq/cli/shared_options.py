"""The options that several commands share."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from onnx_evoq.cli.option_types import BYTES, NUMBERS, RANGE, SIDE, read_config
from onnx_evoq.metrics import METRIC_NAMES

Command = Callable[..., Any]

MODEL = click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))

_METRIC_HELP = (
    f"auto, {', '.join(METRIC_NAMES)}, or your own function as package.module:function or "
    "file.py:function, taking (outputs, labels) and carrying an attribute higher_is_better."
)


def stacked(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several decorators as one, the first one outermost."""

    def apply(command: Command) -> Command:
        return functools.reduce(lambda inner, decorate: decorate(inner), decorators[::-1], command)

    return apply


DATA_OPTIONS = stacked(
    click.option(
        "--data",
        help="An .npz (arrays named like the model's inputs, or x; labels in y), an .npy, a "
        "folder of images, or a function as package.module:function or file.py:function that gives "
        "{input: array} feeds or ONNX Runtime's CalibrationDataReader. Without data, synthetic "
        "inputs are drawn.",
    ),
    click.option(
        "--labels",
        type=click.Path(exists=True, dir_okay=False),
        help="For an image folder: a CSV file with columns file,label and optionally split.",
    ),
    click.option("--split", help="The rows of that file to use, by their column split."),
    click.option(
        "--samples",
        type=click.IntRange(min=1),
        help="Use the first so many samples at most; class folders are taken in turn.",
    ),
    click.option("--divide", type=float, help="Divide values by this, 255 for example."),
    click.option(
        "--mean",
        type=NUMBERS,
        help="Subtract this per channel, after --divide: a,b,c or one number.",
    ),
    click.option("--std", type=NUMBERS, help="Divide by this per channel, after --mean."),
    click.option(
        "--layout",
        type=click.Choice(["nchw", "nhwc"]),
        help="The image layout that the model takes; told from its input unless given.",
    ),
    click.option(
        "--color",
        type=click.Choice(["rgb", "bgr"]),
        default="rgb",
        show_default=True,
        help="The channel order that the model takes.",
    ),
    click.option("--resize", type=SIDE, help="Resize images: the shorter side, or HEIGHTxWIDTH."),
    click.option(
        "--crop", type=SIDE, help="Use the centre, after --resize: a square, or HEIGHTxWIDTH."
    ),
    click.option(
        "--input-range",
        type=RANGE,
        metavar="LOW,HIGH",
        help="What the model expects, for synthetic inputs; about -2,2 unless given.",
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
        help="ONNX Runtime's execution providers, first choice first: cuda,cpu. Default: cpu.",
    ),
    click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=read_config,
        help="A TOML file with options of this and other commands; the command line wins.",
    ),
    click.option("--quiet", "-q", is_flag=True, help="No progress bars and no notes on stderr."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout."),
)

GRANULARITY = click.option(
    "--granularity",
    type=click.Choice(["tensor", "channel"]),
    default="tensor",
    show_default=True,
    help="One step per tensor, or per output channel.",
)

GRID_OPTIONS = stacked(
    click.option(
        "--scale",
        type=click.Choice(["pow2", "float"]),
        default="pow2",
        show_default=True,
        help="Steps that are powers of two, or any float.",
    ),
    click.option(
        "--keep",
        multiple=True,
        metavar="PATTERN",
        help="Leave weights float whose name, or node's name, matches ('fc*'). Repeatable.",
    ),
)

RESOURCE_OPTIONS = stacked(
    click.option(
        "--memory",
        type=BYTES,
        metavar="SIZE",
        help="Hold so much in memory of the tensors that all candidates for a weight share, 500MB "
        "for example; the rest goes to a temporary file. Default: half of what is free.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        help="Score on so many cores. The result is the same. Default: all of them.",
    ),
)

HOLDOUT = click.option(
    "--holdout",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.25,
    show_default=True,
    help="Share of the samples that accepts instead of selecting.",
)

METRIC = click.option("--metric", default="auto", show_default=True, help=_METRIC_HELP)

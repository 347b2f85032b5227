"""Draw pictures of the page of a result, as a headless Chromium shows it.

RESULT is what optimize or search printed with --json and --report, or the folder of a run. The
picture is reduced to some colours, so that it takes little room in a document.

    python tools/draw_report.py resnet20.json docs/report.png --height 1900
    python tools/draw_report.py resnet8.json docs/report-search.png --width 400 --dark
"""

import argparse
import io
import json
import tempfile
from pathlib import Path

from browser import Browser
from PIL import Image

from onnx_evoq.report import page_of_file, write_twins

_COLORS = 160


def main() -> None:
    """Draw the picture, and say what the page complains about."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("result", type=Path, help="a JSON file, or a folder that holds result.json")
    parser.add_argument("picture", type=Path, help="the PNG file to write")
    parser.add_argument("--width", type=int, default=1280, help="of the window, in pixels")
    parser.add_argument("--height", type=int, help="of the picture; without it, all of the page")
    parser.add_argument("--top", type=int, default=0, help="where the picture begins")
    parser.add_argument("--data", type=Path, help="a folder to keep result.json and layers.csv in")
    parser.add_argument("--dark", action="store_true", help="in dark colours")
    given = parser.parse_args()
    page, _ = page_of_file(given.result)
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        file = Path(folder) / "page.html"
        file.write_text(page, encoding="utf-8")
        browser.open(file, given.width, dark=given.dark)
        drawn = browser.picture(given.height, given.top)
        complaints = browser.complaints
    if given.data is not None:
        file = given.result / "result.json" if given.result.is_dir() else given.result
        write_twins(given.data, json.loads(file.read_text(encoding="utf-8")))
    given.picture.write_bytes(with_few_colors(drawn))
    print(f"{given.picture}: {given.picture.stat().st_size} bytes", *complaints, sep="\n")


def with_few_colors(picture: bytes) -> bytes:
    """A PNG file with few colours."""
    written = io.BytesIO()
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.quantize(_COLORS, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return written.getvalue()


if __name__ == "__main__":
    main()

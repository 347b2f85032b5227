"""Draw docs/rooms.svg: the way of the data through `optimize`, and which room uses which.

The rooms, what each of them knows and what it imports are read from the package, so the picture can
be checked. The way of the data at the top is written here.

    python tools/draw_rooms.py [--check]
"""

import argparse
import ast
import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PICTURE = PROJECT / "docs" / "rooms.svg"
PACKAGE = PROJECT / "onnx_evoq"

# The steps of a run: the room, and what it does in two lines.
STEPS = (
    ("setup", "float model,", "two sets"),
    ("reconstruct", "codes, layer", "by layer"),
    ("reconstruct", "cross-layer", "equalization"),
    ("reconstruct", "output", "correction"),
    ("evolve", "codes", "evolve"),
    ("pipeline", "emission,", "checked"),
)

WIDTH, ROW, COLUMN = 1000, 24, 23
TOP = 312  # where the table of rooms begins
SENTENCES = 150  # where the sentences begin
INK, SOFT, LINE, PAPER = "#1f2328", "#59636e", "#d1d9e0", "#ffffff"
GROUND, CHAIN, FILES = "#ddf4ff", "#fff1d6", "#f0f2f4"
GROUND_DOT, CHAIN_DOT = "#218bff", "#d4a72c"


def imports_of(file: Path, package: str) -> set[str]:
    """The names of the rooms of a package that a file imports."""
    names = set()
    for statement in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.ImportFrom) and statement.module:
            parts = statement.module.split(".")
            names |= {parts[1]} if parts[0] == package and len(parts) > 1 else set()
        elif isinstance(statement, ast.Import):  # the package itself is its public functions
            names |= {"api"} if any(each.name == package for each in statement.names) else set()
    return names


def read_rooms(package: Path) -> tuple[dict[str, set[str]], dict[str, str]]:
    """The rooms that each room imports, and the first sentence of each room's docstring."""
    folders = [folder for folder in sorted(package.iterdir()) if (folder / "__init__.py").exists()]
    names = {folder.name for folder in folders}
    uses, sentences = {}, {}
    for folder in folders:
        files = folder.rglob("*.py")
        found = set[str]().union(*(imports_of(file, package.name) for file in files))
        uses[folder.name] = (found & names) - {folder.name}
        door = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
        paragraph = " ".join((ast.get_docstring(door) or "").split("\n\n")[0].split())
        sentences[folder.name] = paragraph.split(". ")[0].rstrip(".")
    return uses, sentences


def heights(uses: Mapping[str, set[str]]) -> dict[str, int]:
    """How many rooms lie below each room on its longest way down.

    Raises:
        ValueError: rooms use each other in a circle.
    """
    found: dict[str, int] = {}

    def height(room: str, above: tuple[str, ...]) -> int:
        if room in above:
            raise ValueError(f"rooms use each other in a circle: {' -> '.join((*above, room))}")
        if room not in found:
            found[room] = max(
                (1 + height(below, (*above, room)) for below in uses[room]), default=0
            )
        return found[room]

    for room in uses:
        height(room, ())
    return found


def ordered(uses: Mapping[str, set[str]]) -> list[str]:
    """The rooms from the top to the bottom: no room uses one above it."""
    height = heights(uses)
    return sorted(uses, key=lambda room: (-height[room], room))


def grounds(uses: Mapping[str, set[str]]) -> set[str]:
    """The rooms that know nothing of a run: those below `setup`, and those that use no room."""
    below: set[str] = set()
    waiting = list(uses.get("setup", ()))
    while waiting:
        room = waiting.pop()
        if room not in below:
            below.add(room)
            waiting += uses[room]
    return below | {room for room, used in uses.items() if not used}


def text(x: float, y: float, words: str, size: int = 12, more: str = "") -> str:
    """A line of text."""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" {more}>{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, fill: str, more: str = "") -> str:
    """A rounded rectangle."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" fill="{fill}" '
        f'stroke="{LINE}" {more}/>'
    )


def arrow(x: float, y: float, to_x: float, to_y: float, more: str = "") -> str:
    """A line with a head."""
    return (
        f'<line x1="{x:g}" y1="{y:g}" x2="{to_x:g}" y2="{to_y:g}" stroke="{SOFT}" '
        f'stroke-width="1.4" marker-end="url(#head)" {more}/>'
    )


def draw_way() -> list[str]:
    """The way of the data."""
    middle, soft = 'text-anchor="middle"', f'fill="{SOFT}"'
    bold = f'{middle} font-weight="600"'
    wide, step, left, top = 104, 122, 134, 92
    parts = [text(24, 34, "The way of the data in one run of optimize", 15, 'font-weight="600"')]
    for y, name in ((top - 4, "model.onnx"), (top + 36, "samples")):
        parts += [box(24, y, 90, 28, FILES), text(69, y + 18, name, 12, middle)]
        parts.append(arrow(114, y + 14, left - 2, top + 30 + (y > top) * 8 - (y < top) * 8))
    for index, (room, first, second) in enumerate(STEPS):
        x = left + index * step
        parts += [
            box(x, top, wide, 64, CHAIN),
            text(x + wide / 2, top + 19, room, 12, bold),
            text(x + wide / 2, top + 38, first, 12, middle),
            text(x + wide / 2, top + 53, second, 12, middle),
        ]
        parts.append(arrow(x + wide, top + 32, x + step - 2, top + 32))
    end = left + len(STEPS) * step
    parts += [
        box(end, top + 14, 110, 36, FILES),
        text(end + 55, top + 29, "model.w4.onnx", 12, middle),
        text(end + 55, top + 43, "and its scores", 11, f"{middle} {soft}"),
    ]
    first, last = left + step, left + 4 * step + wide  # the steps that choose codes
    centre, both = (first + last) / 2, f"{middle} {soft}"
    parts += [
        text(centre, 64, "the search set selects, the held-out set accepts", 12, both),
        f'<path d="M{first} {top - 8} v-10 H{last} v10" fill="none" stroke="{LINE}"/>',
        box(first, 206, last - first, 56, GROUND),
        text(centre, 229, "engine cuts the graph at a layer and keeps the activations there;", 12,
             middle),
        text(centre, 247, "score runs what follows in ONNX Runtime, for many candidates", 12,
             middle),
        arrow(centre - 60, 160, centre - 60, 203),
        text(centre - 68, 186, "candidates", 11, f'text-anchor="end" {soft}'),
        arrow(centre + 60, 204, centre + 60, 161),
        text(centre + 68, 186, "activations, losses", 11, soft),
        box(24, 206, 200, 56, CHAIN, 'stroke-dasharray="4 3"'),
        text(124, 229, "mixed_precision", 12, bold),
        text(124, 247, "chooses a width per layer", 12, middle),
        arrow(186, 206, 186, 160, 'stroke-dasharray="4 3"'),
    ]  # fmt: skip
    return parts


def draw_table(
    order: Sequence[str], uses: Mapping[str, set[str]], sentences: Mapping[str, str]
) -> list[str]:
    """A row for each room: what it knows, and a dot for each room that it uses."""
    ground = grounds(uses)
    right = WIDTH - 24 - COLUMN * len(order)
    parts = [
        text(24, TOP, "Which room uses which", 15, 'font-weight="600"'),
        text(24, TOP + 22, "A row has a dot in the column of each room that it uses. All dots lie "
             "right of the steps:", more=f'fill="{SOFT}"'),
        text(24, TOP + 38, "no room uses one above it. Blue rooms are the ground, ochre rooms the "
             "chain.", more=f'fill="{SOFT}"'),
    ]  # fmt: skip
    begin = TOP + 112
    for index, room in enumerate(order):
        y, x = begin + index * ROW, right + index * COLUMN
        fill = GROUND if room in ground else CHAIN
        parts += [
            box(24, y, WIDTH - 48, ROW - 3, fill if index % 2 else fill + "99", 'stroke-width="0"'),
            text(32, y + 15, room, 12, 'font-weight="600"'),
            text(x + 8, begin - 8, room, 11, f'transform="rotate(-55 {x + 8} {begin - 8})"'),
            text(SENTENCES, y + 15, sentences[room], 10, f'fill="{SOFT}"'),
            f'<rect x="{x}" y="{y}" width="{COLUMN}" height="{ROW - 3}" fill="{LINE}"/>',
        ]
    for index, room in enumerate(order):
        for below in sorted(uses[room]):
            x = right + order.index(below) * COLUMN + COLUMN / 2
            dot = GROUND_DOT if below in ground else CHAIN_DOT
            y = begin + index * ROW + ROW / 2 - 1.5
            parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="4.5" fill="{dot}"/>')
    return parts


def draw(package: Path = PACKAGE) -> str:
    """The picture."""
    uses, sentences = read_rooms(package)
    order = ordered(uses)
    height = TOP + 112 + ROW * len(order) + 20
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'font-family="Helvetica, Arial, sans-serif" fill="{INK}">'
    )
    marker = (
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="{SOFT}"/></marker></defs>'
    )
    title = "<title>The rooms of onnx_evoq and the way of the data through them</title>"
    back = f'<rect width="{WIDTH}" height="{height}" rx="8" fill="{PAPER}"/>'
    lines = [head, title, marker, back, *draw_way(), *draw_table(order, uses, sentences), "</svg>"]
    return "\n".join(line.replace(" >", ">").replace(" />", "/>") for line in lines) + "\n"


def main() -> None:
    """Write the picture, or compare it with the one that is there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="fail if the picture is not current")
    check = parser.parse_args().check
    drawn = draw()
    if not check:
        PICTURE.write_text(drawn, encoding="utf-8")
    elif not PICTURE.exists() or PICTURE.read_text(encoding="utf-8") != drawn:
        sys.exit("docs/rooms.svg is not what the package imports: run tools/draw_rooms.py.")


if __name__ == "__main__":
    main()

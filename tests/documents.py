"""What a Markdown document shows of commands and programs, and what it says that they need."""

import re
import shlex
from dataclasses import dataclass

_FENCE = re.compile(r"\s*(?P<ticks>`{3,}|~{3,})\s*(?P<language>\S*)")
_NEEDS = re.compile(r"\s*<!-- needs: (.+) -->\s*")
_COMMAND = re.compile(r"\s*(\$ )?(onnx-evoq\s|python tools/|tools/\w)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a document.

    Attributes:
        language: the fence's first word, "" without one.
        needs: what the comment on the line before says that it needs; "" if it runs as it stands.
        text: what is between the fences.
        line: the fence's number in the document.
    """

    language: str
    needs: str
    text: str
    line: int


def blocks(document: str) -> list[Block]:
    """The fenced blocks of a document."""
    found: list[Block] = []
    lines = document.splitlines()
    start = None
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if start is None and fence:
            start, opening = number, fence
        elif start is not None and fence and line.strip() == opening["ticks"]:
            mark = _NEEDS.fullmatch(lines[start - 1]) if start else None
            text = "\n".join(lines[start + 1 : number])
            found.append(Block(opening["language"], mark[1] if mark else "", text, start + 1))
            start = None
    return found


def marks(document: str) -> int:
    """How many comments of a document say what a block needs."""
    return sum(_NEEDS.fullmatch(line) is not None for line in document.splitlines())


def hides_commands(block: Block) -> bool:
    """Whether a block shows commands of this project, yet is not set as shell."""
    return block.language != "sh" and any(map(_COMMAND.match, block.text.splitlines()))


def script(text: str) -> str:
    """What a shell is to run: all of a block, or what stands behind its prompts."""
    if not re.search(r"^\$ ", text, re.MULTILINE):
        return text
    kept, goes_on = [], False
    for line in text.splitlines():
        if goes_on or line.startswith("$ "):
            kept.append(line if goes_on else line[2:])
            goes_on = line.endswith("\\")
    return "\n".join(kept)


def commands(text: str) -> list[list[str]]:
    """The words of each command of a shell script."""
    found: list[list[str]] = []
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        found.append([])
        for word in words:
            if set(word) <= set("();<>|&"):
                found.append([])
            else:
                found[-1].append(word)
    return [command for command in found if command]


def inline_commands(document: str) -> list[list[str]]:
    """The commands of this project that stand in running text."""
    lines = document.splitlines()
    for block in blocks(document):
        end = block.line + len(block.text.splitlines())
        lines[block.line - 1 : end + 1] = [""] * (end + 2 - block.line)
    spans = re.findall(r"`([^`]+)`", "\n".join(lines))
    return [words for span in spans if _COMMAND.match(span) for words in commands(_flat(span))]


def _flat(span: str) -> str:
    """Running text on one line."""
    return " ".join(span.split())

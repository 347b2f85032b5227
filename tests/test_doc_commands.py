"""What the documents show works: it runs as it stands, or says what it needs and has options that
exist.
"""

import re
import shutil
import subprocess
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from commands import invoke
from documents import Block, blocks, commands, hides_commands, inline_commands, marks, script
from shown_names import PROJECT, environment, options, unknown, unknown_in_python

from onnx_evoq.cli import main

PAGES = ["README.md", "CONTRIBUTING.md", "models/README.md", "docs/*.md"]
GENERATED = PROJECT / "docs" / "api.md"  # signatures, and examples that are run as doctests
DOCUMENTS = [path for page in PAGES for path in sorted(PROJECT.glob(page)) if path != GENERATED]

# What makes an environment, or runs all tests: it is not to run in them.
INSTALLS = re.compile(r"pip install|git clone|\btools/(api_docs|demo|environment|test)\b")
FOR_A_SHELL = re.compile(r"[|&;<>$*?`~]")  # what `commands` does not understand as a shell does

each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT))
)


@each_document
def test_commands_are_set_as_shell_and_marks_belong_to_blocks(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert [block.line for block in blocks(text) if hides_commands(block)] == []
    assert marks(text) == sum(block.needs != "" for block in blocks(text))


@each_document
def test_commands_and_options_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    shown = [block for block in blocks(text) if block.language == "sh"]
    listed = [words for block in shown for words in commands(script(block.text))]
    for words in [*listed, *inline_commands(text)]:
        assert unknown(words) == [], " ".join(words)


@each_document
def test_programs_call_what_exists(document: Path) -> None:
    for block in blocks(document.read_text(encoding="utf-8")):
        if block.language == "python":
            assert unknown_in_python(block.text) == [], f"line {block.line}"
        elif block.language == "toml":
            keys = {f"--{key}" for key in tomllib.loads(block.text)}
            assert keys <= {name for command in main.commands.values() for name in options(command)}


@each_document
def test_files_in_running_text_exist(document: Path) -> None:
    assert missing_files(document.read_text(encoding="utf-8"), document.parent) == []


@each_document
def test_what_is_not_marked_runs(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = blocks(document.read_text(encoding="utf-8"))
    programs = [block for block in found if block.language in ("sh", "python") and not block.needs]
    for block in programs:
        assert not INSTALLS.search(block.text), f"line {block.line}: say what this needs"
    if programs:
        copy_project(tmp_path)
        monkeypatch.chdir(tmp_path)
        for block in programs:
            run(block)


def test_blocks_run_one_after_the_other_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run(Block("sh", "", "$ echo 4 > bits\nfour", 1))
    run(
        Block(
            "python", "", "from pathlib import Path\nassert Path('bits').read_text() == '4\\n'", 1
        )
    )
    with pytest.raises(AssertionError, match="line 7"):
        run(Block("sh", "", "false\ntrue", 7))
    with pytest.raises(AssertionError, match=r"no\.onnx"):
        run(Block("sh", "", "onnx-evoq inspect no.onnx", 8))
    with pytest.raises(ZeroDivisionError):
        run(Block("python", "", "1 / 0", 9))


def test_the_program_that_is_installed_is_the_one_that_runs_here() -> None:
    (program,) = entry_points(group="console_scripts", name="onnx-evoq")
    assert program.load() is main


def missing_files(text: str, folder: Path = PROJECT) -> list[str]:
    """Files and folders that running text names in backticks or in links, and that do not exist.

    Files of the package may be named without its folder. Names with capitals stand for any file.

    Args:
        text: of a document.
        folder: where the document is, from which its links go out.
    """
    named = re.findall(r"`([a-z_.]+/[a-z_./]+)`", text)
    linked = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    roots = (PROJECT, PROJECT / "onnx_evoq")
    return [
        *[name for name in named if not any((root / name).exists() for root in roots)],
        *[link for link in linked if not (folder / link).exists()],
    ]


def test_a_file_that_is_missing_is_found() -> None:
    assert missing_files("`tools/demo` and `no/file.py`, [a](none.md)") == ["no/file.py", "none.md"]
    assert missing_files("`search/pareto.py`, `tests/ROOM/NAME.py`, [a](https://a.b/c)") == []


def copy_project(folder: Path) -> None:
    """Put what git has of this project into a folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode != 0:
        pytest.skip("needs the project's git checkout, which says what belongs to it")
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / name, folder / name)
            shutil.copymode(PROJECT / name, folder / name)


def run(block: Block) -> None:
    """Run a block as it stands, and within this process unless it needs a shell."""
    if block.language == "python":
        exec(compile(block.text, f"line {block.line}", "exec"), {"__name__": "__main__"})
        return
    text = script(block.text)
    listed = commands(text)
    if FOR_A_SHELL.search(text) or any(words[0] != "onnx-evoq" for words in listed):
        run_in_shell(block)
    else:
        for words in listed:
            invoke(*words[1:])


def run_in_shell(block: Block) -> None:
    """Run a block in a shell."""
    done = subprocess.run(
        ["bash", "-ec", script(block.text)], env=environment(Path.cwd()), capture_output=True,
        text=True, check=False, stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"line {block.line}: {done.stdout}{done.stderr}"

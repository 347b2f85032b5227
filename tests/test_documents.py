"""What is found in a document."""

from documents import Block, blocks, commands, hides_commands, inline_commands, marks, script

DOCUMENT = """\
Text with `onnx-evoq search
m.onnx --budget 1kB` and `tools/demo` in it.

```sh
$ onnx-evoq inspect m.onnx
a table
```

<!-- needs: a model -->
```python
import onnx_evoq
```

<!-- needs: nothing, since no block follows -->

    ~~~~
    ```
    ~~~~
"""


def test_blocks_have_a_language_a_mark_and_a_line() -> None:
    assert blocks(DOCUMENT) == [
        Block("sh", "", "$ onnx-evoq inspect m.onnx\na table", 4),
        Block("python", "a model", "import onnx_evoq", 10),
        Block("", "", "    ```", 16),
    ]


def test_marks_are_counted_wherever_they_stand() -> None:
    assert marks(DOCUMENT) == 2


def test_commands_outside_of_a_shell_block_are_hidden() -> None:
    for text in ("onnx-evoq inspect m.onnx", "word\n$ python tools/a.py", "tools/demo"):
        assert hides_commands(Block("", "", text, 1))
        assert hides_commands(Block("text", "", text, 1))
        assert not hides_commands(Block("sh", "", text, 1))
    assert not hides_commands(Block("", "", "# onnx-evoq inspect\nonnx-evoq.toml\ntools/", 1))


def test_a_script_is_what_stands_behind_prompts_if_there_are_any() -> None:
    assert script("a\nb") == "a\nb"
    assert script("$ a \\\n    --b\nprinted\n$ c") == "a \\\n    --b\nc"


def test_commands_are_split_into_words() -> None:
    assert commands("a --b 'c d' \\\n   e  # why\n\nf && g | h > i") == [
        ["a", "--b", "c d", "e"], ["f"], ["g"], ["h"], ["i"],
    ]  # fmt: skip


def test_commands_in_running_text_may_go_over_lines() -> None:
    assert inline_commands(DOCUMENT) == [
        ["onnx-evoq", "search", "m.onnx", "--budget", "1kB"],
        ["tools/demo"],
    ]

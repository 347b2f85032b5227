"""Write docs/api.md: what the docstrings of the public names say.

griffe reads the package without running it, griffe2md renders one name after the other, and
mdformat lays the page out. The public names are those in `__all__` of the package, wherever they
are defined.
"""

import argparse
import re
import sys
from pathlib import Path

import griffe
import mdformat
from griffe2md import ConfigDict, render_object_docs

PROJECT = Path(__file__).parent.parent
PAGE = PROJECT / "docs" / "api.md"
PACKAGE = "onnx_evoq"

HEAD = f"""\
# Python API

Made by `tools/api_docs` from the docstrings. All names are imported from `{PACKAGE}`, except the
[types](#types) at the end. A default such as `DEFAULT_GRID` is a value made without arguments, here
`Grid()`; `ANY_GRANULARITY` is `Grid("any")`.
"""

# What signatures name and a caller need not import.
TYPES = {
    "ModelSource": "the path of an ONNX file, or a `Model`",
    "Model": "an `onnx.ModelProto`",
    "DataSource": "a `Source`, a `Data`, or None for synthetic inputs",
    "Source": "a path, an array (samples, ...), a mapping of arrays by input, an iterable of feeds "
    "`{input: array}`, or a function that returns one",
    "Named": "an object with a `name`, as `QuantType.QInt8` is",
    "PolicySource": "a `Policy`, a `ParetoPoint`, a mapping as `Policy.to_dict` gives it, or the "
    "path of a JSON file",
    "MetricName": "`auto`, `mse`, `kl`, `cosine`, `sqnr`, `nmse`, `channel_nmse`, `agreement`, "
    "`top1`, `top5` or `cross_entropy`; `package.module:function` or `file.py:function`; or a "
    "function of the outputs (a dict of arrays) and the labels, with an attribute "
    "`higher_is_better`",
    "StrategyName": "`neuroevolution`, `coevolution` or `none`",
    "Granularity": "`tensor` or `channel`",
    "Scale": "`pow2` or `float`",
    "Bits": "a width, or a tuple with one for each channel",
    "Form": "`qdq`, `float`, `qonnx` or `c`",
    "Storage": "`auto`, `int8`, `int4` or `int2`",
    "TargetName": "one of the [targets](targets.md)",
    "Skipped": "an initializer that is no weight: `name`, `dtype`, `shape` and `reason`",
    "Progress": "a function of a label and the total amount of work; it returns a context manager "
    "that gives a `Step`, as `bars` does. `silent`, the default, shows nothing",
    "Step": "a function that is called with the amount of work done since the last call, and by "
    "name with the `layer`, the `best` value so far, the `evaluations` and the seconds `left`, if "
    "known",
}

# Members that the package alone uses.
HIDDEN = {"preprocess", "of_all", "granularities", "searches", "settings", "notes_on"}

RENDERING: ConfigDict = {
    "heading_level": 3,
    "inherited_members": False,
    "line_length": 88,
    "members_order": "source",
    "show_if_no_docstring": False,  # fields are in their class's list of attributes
    "show_object_full_path": False,
    "show_root_full_path": False,
    "show_root_members_full_path": False,
    "show_signature_annotations": True,
    "summary": False,
}


def public_objects(project: Path = PROJECT, package: str = PACKAGE) -> list[griffe.Object]:
    """What the package offers, in the order of its `__all__`."""
    loader = griffe.GriffeLoader(
        docstring_parser="google",
        docstring_options={"returns_multiple_items": False},
        search_paths=[project],
    )
    loaded = loader.load(package)
    loader.resolve_aliases()
    return [defined(loaded[str(name)]) for name in loaded.exports or ()]


def defined(item: griffe.Object | griffe.Alias) -> griffe.Object:
    """The object behind an imported name; a module stands for what is named like it."""
    item = item.final_target if item.is_alias else item
    return defined(item[item.name]) if item.is_module else item


def kind_of(item: griffe.Object) -> str:
    """The heading under which an object stands."""
    if item.is_function:
        return "Functions"
    return "Errors" if item.is_class and is_error(item) else "Values"


def is_error(item: griffe.Class) -> bool:
    """Whether a class is made from one of Python's exceptions."""
    bases = [str(base) for ancestor in (item, *item.mro()) for base in ancestor.bases]
    return any(base.endswith(("Exception", "Error")) for base in bases)


def section(item: griffe.Object, public: set[str]) -> str:
    """One object as Markdown, with links to public names only."""
    for hidden in HIDDEN & item.members.keys():
        item.del_member(hidden)
    for described in (item, *item.members.values()):
        if not described.is_alias and described.docstring:  # "Example:" is set as a mere remark
            text = described.docstring.value
            described.docstring.value = re.sub(r"^Example:$", "Examples:", text, flags=re.M)
    text = render_object_docs(item, RENDERING)
    text = re.sub(r"^#### `", f"#### `{item.name}.", text, flags=re.M)
    if item.is_class:  # it returns itself
        text = re.sub(rf"^({item.name}\([^`]*\)) -> None$", r"\1", text, flags=re.M)
    text = re.sub(r"\[\*\*(\w+)\*\*\]\(#[\w.]+\)", r"**\1**", text)
    return re.sub(r"<code>(.*?)</code>", lambda found: linked(found[1], public), text)


def linked(annotation: str, public: set[str]) -> str:
    """A type as code, in which public names are links to their sections."""

    def link(found: re.Match[str]) -> str:
        name = found[1]
        return f"[{name}](#{name.lower()})" if name in public else name

    text = re.sub(r"\[(\w+)\]\(#[\w.]+\)", link, annotation)
    return f"<code>{text}</code>" if "](#" in text else f"`{text}`"


def page(objects: list[griffe.Object]) -> str:
    """The whole page: functions, values, errors with the general ones first, and types."""
    public = {item.name for item in objects}
    parts = [HEAD]
    for kind in ("Functions", "Values", "Errors"):
        members = [item for item in objects if kind_of(item) == kind]
        if kind == "Errors":
            members.sort(key=lambda item: len(item.mro()))
        if members:
            parts += [f"## {kind}", *(section(item, public) for item in members)]
    parts += ["## Types", "\n".join(f"- `{name}`: {text}." for name, text in TYPES.items())]
    return mdformat.text("\n\n".join(parts), options={"wrap": 100})


def main() -> None:
    """Write the page, or compare it with what is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if the page is not current")
    check = parser.parse_args().check
    text = page(public_objects())
    if not check:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        sys.exit("docs/api.md is not what the docstrings say: run tools/api_docs.")


if __name__ == "__main__":
    main()

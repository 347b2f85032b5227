"""Results that are made up, as `to_dict` gives them, and what stands in a page of one."""

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

EVIL = "<script>alert('x')</script>&\"'"
EMPTY = {"meta", "img", "br", "link"}


def interval(value: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high}


def model_values(relative: float, top1: float | None = None, lost: float = 0.0) -> dict[str, Any]:
    values: dict[str, Any] = {
        "metric": interval(2 * relative, relative, 3 * relative),
        "relative": interval(relative, 0.5 * relative, 2 * relative),
    }
    if top1 is not None:
        reach = [lost - 0.01, lost + 0.01]
        values["top1"] = {**interval(top1, 0.8, 0.99), "lost": lost, "lost_within": reach}
    return values


def layer(name: str, bits: int | list[int] = 4) -> dict[str, Any]:
    return {
        "name": name, "bits": bits, "frac_bits": 4, "sensitivity": None,
        "before": {"search": 0.5, "heldout": 0.6}, "after": {"search": 0.4, "heldout": 0.5},
    }  # fmt: skip


def layer_details(sensitivity: float | None, node: str) -> dict[str, Any]:
    codes = {"low": -8, "counts": [0, 1, *[2] * 14], "nearest": [1, 1, *[2] * 14]}
    return {
        "op": "Conv", "nodes": [node], "shape": [8, 3, 3, 3], "on": "floats",
        "steps": [0.0625, 0.0625], "sqnr": 15.25, "moved": 0.125, "codes": codes,
        "sensitivity": sensitivity,
    }  # fmt: skip


def sample(**of: Any) -> dict[str, Any]:
    usual = {
        "sample": 3, "values": {"x": "1, 2"}, "label": 1, "float": 1, "float_certainty": 0.9,
        "quantized": 2, "quantized_certainty": 0.6,
    }  # fmt: skip
    return {**usual, **of}


def details(**changes: Any) -> dict[str, Any]:
    models = {
        "reference": model_values(0.0, 0.95), "nearest": model_values(0.4, 0.5, 0.45),
        "start": model_values(0.02, 0.94, 0.01), "evolved": model_values(0.01, 0.945, 0.005),
    }  # fmt: skip
    usual: dict[str, Any] = {
        "versions": {"python": "3.11", "onnx-evoq": "0.1.0"},
        "sha256": {"model": "a" * 64, "samples": "b" * 64},
        "samples": {"search": 300, "heldout": 100},
        "heldout": {"samples": 100, "models": models},
        "answers": {
            "kind": "classes", "changed": 2, "of": 100, "low": 0.005, "high": 0.07,
            "samples": [sample(), sample(sample=7, label=2)],
        },
        "depth": [
            {"weight": "w1", "tensor": "t1", "nearest": 0.1, "start": 0.02, "evolved": 0.01},
            {"weight": "w2", "tensor": "t2", "nearest": 0.3, "start": 0.05, "evolved": 0.04},
        ],
        "layers": {"w1": layer_details(0.1, "conv1"), "w2": layer_details(0.3, "conv2")},
        "notes": [],
    }  # fmt: skip
    return {**usual, **changes}


def without_charts(**changes: Any) -> dict[str, Any]:
    """An optimized model whose page has no chart, which takes a third of a second to draw."""
    return result_values(**{"history": [], "details": None, **changes})


def history() -> list[dict[str, Any]]:
    moments = [
        (1.0, "reconstruction", "w1", 1, 2, None, None),
        (3.5, "reconstruction", "w2", 2, 2, None, None),
        (4.0, "evolving", "w1", 1, 4, 0.5, 10),
        (5.0, "evolving", "w2", 2, 4, 0.25, 30),
    ]
    names = ("seconds", "stage", "layer", "done", "total", "best", "evaluations")
    return [dict(zip(names, moment, strict=True)) for moment in moments]


def result_values(**changes: Any) -> dict[str, Any]:
    """An optimized model with all that a page shows."""
    score = {"search": 0.1, "heldout": 0.2, "top1": {"search": 0.9, "heldout": 0.9}}
    usual: dict[str, Any] = {
        "model": "folder/net.onnx", "output": "net.w4.onnx", "bits": 4, "granularity": "tensor",
        "scale": "pow2", "seed": 5, "weights": 2, "bytes_before": 1_000_000,
        "bytes_after": 200_000, "packed_bytes": 150_000, "metric": "mse", "scored_at": ["y"],
        "scores": {
            "reference": {**score, "search": 0.0, "heldout": 0.0},
            "nearest": {**score, "heldout": 0.8}, "start": {**score, "heldout": 0.3},
            "evolved": score,
        },
        "outputs": {}, "layers": [layer("w2"), layer("w1")], "evaluations": 40, "seconds": 12.5,
        "stopped": None, "notes": ["give more samples."], "session_options": {},
        "target": "onnxruntime", "activations": [], "integer_ops": {}, "float_ops": {},
        "details": details(), "history": history(),
        "command": {
            "words": ["onnx-evoq", "optimize", "folder/net.onnx", "--bits", "4", "--data", "d.npz"],
            "data": ["--divide", "255"], "optimize": ["--data", "d.npz"],
        },
    }  # fmt: skip
    return {**usual, **changes}


def point_values(packed: int, error: float, bits: Any, **changes: Any) -> dict[str, Any]:
    usual = {
        "bits": bits, "expansion": {}, "granularity": dict.fromkeys(bits, "tensor"),
        "packed_bytes": packed, "file_bytes": 2 * packed, "search": error, "heldout": error,
        "drop": 100 * error, "nmse": error,
    }  # fmt: skip
    return {**usual, **changes}


def search_values(**changes: Any) -> dict[str, Any]:
    """A search with a front of three points."""
    usual: dict[str, Any] = {
        "model": "folder/net.onnx", "metric": "mse", "scored_at": ["y"], "size": "packed",
        "seed": 5,
        "front": [
            point_values(2000, 0.08, {"w1": 2, "w2": 2}),
            point_values(3000, 0.009, {"w1": 2, "w2": [4, 6]}),
            point_values(8000, 0.001, {"w1": 8, "w2": 8}),
        ],
        "uniform": [point_values(4000, 0.03, {"w1": 4, "w2": 4})],
        "greedy": [point_values(3500, 0.03, {"w1": 2, "w2": 6})],
        "hypervolume": {}, "evaluations": 64, "seconds": 30.0, "stopped": None, "notes": [],
        "details": {"versions": {"numpy": "2"}, "sha256": {"model": "c" * 64}},
        "command": {
            "words": ["onnx-evoq", "search", "folder/net.onnx", "--data", "d.npz"], "data": [],
            "optimize": ["--data", "d.npz"],
        },
    }  # fmt: skip
    return {**usual, **changes}


def changed(values: Any, change: Callable[[Any], Any]) -> Any:
    """Plain values in which each text is changed; keys stay."""
    if isinstance(values, dict):
        return {key: changed(value, change) for key, value in values.items()}
    if isinstance(values, list):
        return [changed(value, change) for value in values]
    return change(values) if isinstance(values, str) else values


class Page(HTMLParser):
    """What stands in a page.

    Attributes:
        elements: each element with its attributes, in their order.
        unclosed: the elements that are open, at the end those that were never closed.
        text: all text that is shown.
        scripts: the text of scripts.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.unclosed: list[str] = []
        self.text, self.scripts = "", list[str]()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in EMPTY:
            self.unclosed.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.unclosed.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.unclosed[-1:] == ["script"]:
            self.scripts.append(data)
        elif self.unclosed[-1:] != ["style"]:
            self.text += data

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        """The attributes of all elements of a name that have these attributes."""
        return [
            own for name, own in self.elements
            if name == tag and all(own.get(key) == value for key, value in attributes.items())
        ]  # fmt: skip

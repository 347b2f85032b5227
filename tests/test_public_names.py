"""What `import onnx_evoq` offers, and that all of it is documented."""

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

import pytest

import onnx_evoq


def modules() -> Iterator[ModuleType]:
    for info in pkgutil.walk_packages(onnx_evoq.__path__, "onnx_evoq."):
        if not info.name.endswith("__main__"):
            yield import_module(info.name)


def test_the_public_names_are_these() -> None:
    assert onnx_evoq.__all__ == [
        "ActivationResult",
        "BudgetError",
        "ClusterError",
        "Coverage",
        "Data",
        "DataError",
        "Evaluation",
        "EvoqError",
        "Grid",
        "History",
        "Inspection",
        "LayerResult",
        "MetricError",
        "MixedPrecision",
        "ModelError",
        "Moment",
        "OptionError",
        "OutputError",
        "OutputResult",
        "ParetoPoint",
        "Policy",
        "Resources",
        "Result",
        "Score",
        "Search",
        "SearchSpace",
        "Sensitivity",
        "SensitivityRow",
        "Stopped",
        "StorageError",
        "Strategy",
        "Uncovered",
        "Verification",
        "WeightInfo",
        "bars",
        "c_header",
        "evaluate",
        "inspect",
        "optimize",
        "quantize_static",
        "rank_sensitivity",
        "search_and_optimize",
        "search_bits",
        "verify",
    ]
    assert all(hasattr(onnx_evoq, name) for name in onnx_evoq.__all__)


def test_every_module_public_function_and_class_says_what_it_is() -> None:
    assert [name for module in modules() for name in undocumented(module)] == []


def undocumented(module: ModuleType) -> Iterator[str]:
    """The module, and its own public functions and classes, without a docstring."""
    if not module.__doc__:
        yield module.__name__
    for name, value in vars(module).items():
        own = getattr(value, "__module__", None) == module.__name__ and not name.isupper()
        if (
            own
            and not name.startswith("_")
            and (inspect.isclass(value) or inspect.isfunction(value))
            and not inspect.getdoc(value)
        ):
            yield f"{module.__name__}.{name}"


def test_what_has_no_docstring_is_found() -> None:
    module = ModuleType("bare")
    exec("def _own(): pass\ndef open_one(): pass\nclass Said:\n    'It is.'", vars(module))
    assert list(undocumented(module)) == ["bare", "bare.open_one"]


@pytest.mark.parametrize(
    "name",
    [
        "c_header",
        "evaluate",
        "optimize",
        "quantize_static",
        "rank_sensitivity",
        "search_and_optimize",
        "search_bits",
        "verify",
    ],
)
def test_every_argument_of_the_api_is_explained(name: str) -> None:
    function = getattr(onnx_evoq, name)
    text = inspect.getdoc(function)
    arguments = text[text.index("Args:") :]
    for parameter in inspect.signature(function).parameters:
        assert f"{parameter}:" in arguments or f"`{parameter}`" in arguments, parameter


def test_all_errors_that_a_caller_may_catch_are_public() -> None:
    errors = import_module("onnx_evoq.errors")
    raised = {name for name, value in vars(errors).items() if inspect.isclass(value)} - {"Any"}
    assert raised <= set(onnx_evoq.__all__)

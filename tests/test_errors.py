"""The errors of this package."""

import inspect

import pytest

from onnx_evoq import errors
from onnx_evoq.errors import EvoqError

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, EvoqError) and kind is not EvoqError
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_caught_as_the_base_class(kind: type[EvoqError]) -> None:
    with pytest.raises(EvoqError, match="the message"):
        raise kind("the message")


def test_the_table_of_errors_is_complete() -> None:
    assert len(KINDS) == 8
    assert all(kind.__name__ in (errors.__doc__ or "") for kind in KINDS)

"""Write a quantized model as a C header."""

from onnx_evoq.api.job import ModelSource
from onnx_evoq.model import as_network, c_header_of, emit_qdq, load, name_of
from onnx_evoq.setup import MAX_BITS, Task


def c_header(model: ModelSource) -> str:
    """The layers of a quantized model as a C header, for programs on microcontrollers.

    The header holds, for each Conv, ConvTranspose, Gemm and MatMul whose weight has codes, the
    codes, the steps as shifts where they are powers of two, and the bias. Two tables list the
    layers, and the tensors that they read and give. It is valid C99 and C++, and its comment states
    the formulas. What lies between the layers is listed in a comment.

    Args:
        model: the path of a model that `optimize` emitted in the qdq format, or `Result.model`.

    Returns:
        The text of the header; the same model gives the same text.

    Raises:
        ModelError: the model cannot be read, or no layer of it has codes.

    Example:
        >>> import onnx_evoq
        >>> from pathlib import Path
        >>> header = onnx_evoq.c_header("model.w4a8.onnx")  # doctest: +SKIP
        >>> Path("model.w4a8.h").write_text(header)  # doctest: +SKIP
    """
    return c_header_of(load(model, quantized=True), name_of(model))


def check_header(task: Task, name: str) -> None:
    """Refuse a model of which a C header cannot hold a layer, before any search.

    Args:
        task: the model, and the widths of its weights.
        name: the model's name in messages.

    Raises:
        ModelError: a layer is of a kind that a header cannot hold.
    """
    rounded = task.with_behind(as_network(task.model), task.nearest(task.weights, task.bits))
    emitted = emit_qdq(task.model, rounded, narrowest=MAX_BITS)
    c_header_of(emitted if task.own is None else task.own.restored(emitted), name)

"""The names that a model gives to the axes of its inputs."""

from onnx import ModelProto

_NO_NAMES = {"any", "dynamic", "none", "unknown"}


def axis_names(model: ModelProto) -> dict[str, tuple[str | None, ...]]:
    """For each input that states its axes, their names, None for an axis without one.

    Axes of one name have one size. A name may be a formula, such as ``past + sequence``. Where an
    exporter writes ``?`` or ``None`` for any size, that is no name.

    Args:
        model: a model as `load` returns it.
    """
    return {
        value.name: tuple(
            d.dim_param if _is_name(d.dim_param) else None for d in value.type.tensor_type.shape.dim
        )
        for value in model.graph.input
        if value.type.tensor_type.HasField("shape")
    }


def _is_name(text: str) -> bool:
    return any(c.isalpha() for c in text) and text.lower() not in _NO_NAMES

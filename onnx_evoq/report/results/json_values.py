"""Values that JSON can hold."""

import math
from collections.abc import Mapping
from typing import Any


def json_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Replace NaN and infinity by None, since JSON cannot hold them, and tuples by lists."""

    def json_value(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: json_value(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [json_value(inner) for inner in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {key: json_value(value) for key, value in values.items()}

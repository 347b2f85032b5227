"""What a report shows besides the result: computed by further runs, and only where asked for."""

from onnx_evoq.api.details.collect import details_of, seconds_of_details
from onnx_evoq.api.details.provenance import provenance_of

__all__ = [
    "details_of",
    "provenance_of",
    "seconds_of_details",
]

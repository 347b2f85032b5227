"""Import ONNX Runtime without its telemetry.

From version 1.29 on, its wheels write files into the user's cache on import, and send events. The
variable that switches this off is read on import; a user who sets it has the last word.
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

__all__ = ["ort"]

"""Give freed memory back to the system.

The C library keeps what is freed between blocks that are still in use, and ONNX Runtime holds the
weights of a session in blocks of all sizes. After a large session, this is as much again as the
model.
"""

import ctypes
import sys


def give_back() -> None:
    """Give freed memory back, where the C library can (glibc); it takes a few milliseconds."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if trim is not None:
            trim(0)

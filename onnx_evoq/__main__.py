"""``python -m onnx_evoq``."""

from onnx_evoq.cli import main

main()

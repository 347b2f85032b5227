"""ONNX Runtime is imported without its telemetry, unless the user says otherwise."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from onnx_evoq.score import runtime

# A stand-in for ONNX Runtime, which ends the process on import.
CODE = "import os; print(os.environ.get('ORT_DISABLE_TELEMETRY'), flush=True); os._exit(0)"


def test_the_package_imports_onnx_runtime_without_telemetry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxruntime.py").write_text(CODE)
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import onnx_evoq"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "1\n"


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("0", "0")])
def test_telemetry_is_off_before_the_import_unless_the_user_says_otherwise(
    given: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxruntime.py").write_text("import os\nseen = dict(os.environ)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "onnxruntime")
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    if given is not None:
        monkeypatch.setenv("ORT_DISABLE_TELEMETRY", given)
    seen = runpy.run_path(str(runtime.__file__))["ort"].seen
    assert seen["ORT_DISABLE_TELEMETRY"] == expected

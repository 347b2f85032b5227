"""Load a model in ONNX Runtime and run it.

The option `session.disable_quant_qdq` lets ONNX Runtime fold DequantizeLinear on a constant. So an
emitted model computes with exactly the numbers ``step * codes`` that were scored. With its default
options, ONNX Runtime fuses DequantizeLinear and MatMul into a kernel that also rounds the
activations.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from onnx_evoq.array_types import Array, Arrays
from onnx_evoq.errors import ModelError, OptionError
from onnx_evoq.outputs_by_sample import boxed
from onnx_evoq.score.runtime import ort

_FOLDER = "session.model_external_initializers_file_folder_path"
SESSION_OPTIONS = {"session.disable_quant_qdq": "1"}

_FLOATS = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}


class Session:
    """One model, loaded and ready to run.

    Args:
        model: a serialized model.
        name: the model's name in messages.
        providers: ONNX Runtime's execution providers in order of preference; None for the CPU.
        options: session configuration entries.
        threads: how many cores one run uses; None for all. With one, a run gives the same bits
            on any machine, and runs side by side use the other cores.
        values: arrays of the initializers whose data the model says to be elsewhere, by name.
        custom_ops: libraries that hold operators of the model.
        unlike: names of outputs that may be any value of Python, and have rows of their own in
            each run.
        folder: where the names of the data files start that the model names; they are mapped.
        alone: whether a run takes so much memory that only one should be made at a time.

    Attributes:
        alone: as given.
        floats: NumPy's names of the types of the outputs that hold floats.

    Raises:
        ModelError: ONNX Runtime cannot load the model.
        MemoryError: there is not enough memory for it.
        OptionError: a provider is not available, or a library cannot be loaded.
    """

    def __init__(
        self,
        model: bytes,
        name: str = "the model",
        providers: Sequence[str] | None = None,
        options: Mapping[str, str] = SESSION_OPTIONS,
        threads: int | None = 1,
        values: Arrays | None = None,
        custom_ops: Sequence[str | Path] = (),
        unlike: Collection[str] = (),
        folder: str = "",
        alone: bool = False,
    ) -> None:
        self.name, self.alone = name, alone
        self.unlike = frozenset(unlike)
        # ONNX Runtime uses these arrays where they are, so they must live as long as the session.
        self._values = {
            key: ort.OrtValue.ortvalue_from_numpy(a) for key, a in (values or {}).items()
        }
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = threads or 0  # 0: all cores
        settings.log_severity_level = 4  # only fatal ones: errors come as exceptions
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        for key, value in options.items():
            settings.add_session_config_entry(key, value)
        for library in custom_ops:
            _register(settings, library)
        if self._values:
            settings.add_external_initializers(list(self._values), list(self._values.values()))
        if folder:
            settings.add_session_config_entry(_FOLDER, folder)
        chosen = _known_providers(providers or ["CPUExecutionProvider"])
        try:
            self._session = ort.InferenceSession(model, settings, providers=chosen)
        except Exception as cause:  # ONNX Runtime's exceptions share no base class
            if _lacks_memory(cause):
                raise MemoryError(f"loading {name}") from cause
            hint = ""
            if "is not a registered function/op" in str(cause):
                hint = " (--custom-ops takes the library of an operator of your own)"
            raise ModelError(
                f"{name}: ONNX Runtime cannot load it: {_first_line(cause)}{hint}"
            ) from cause
        self.inputs: tuple[str, ...] = tuple(i.name for i in self._session.get_inputs())
        self.outputs: tuple[str, ...] = tuple(o.name for o in self._session.get_outputs())
        self.floats: dict[str, str] = {
            o.name: _FLOATS[o.type] for o in self._session.get_outputs() if o.type in _FLOATS
        }

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Run the model once, and return its outputs by name.

        Args:
            feed: the input arrays by name.

        Raises:
            ModelError: the run fails, or an output that is none of `unlike` is not a tensor.
            MemoryError: there is not enough memory for it.
        """
        try:
            values = self._session.run(None, dict(feed))
        except Exception as cause:  # ONNX Runtime's exceptions share no base class
            shapes = ", ".join(f"{k} {v.dtype}{list(v.shape)}" for k, v in feed.items())
            if _lacks_memory(cause):
                raise MemoryError(f"running {self.name} on {shapes}") from cause
            raise ModelError(f"{self.name}: fails on {shapes}: {_first_line(cause)}") from cause
        for index, (output, value) in enumerate(zip(self.outputs, values, strict=True)):
            if isinstance(value, np.ndarray):
                continue
            if output not in self.unlike:
                raise ModelError(
                    f"{self.name}: output {output!r} is not a tensor: export tensor outputs only."
                )
            values[index] = boxed(value)
        # An output that is an input as well has the memory of what was fed, which ONNX Runtime 1.23
        # to 1.26 does not hold on to.
        return {
            name: feed.get(name, value) for name, value in zip(self.outputs, values, strict=True)
        }


def _known_providers(providers: Sequence[str]) -> list[str]:
    """ONNX Runtime's spellings of the providers; "cpu" stands for "CPUExecutionProvider"."""
    available = {name.lower(): name for name in ort.get_available_providers()}
    chosen = []
    for provider in providers:
        short = provider.lower()
        name = available.get(short) or available.get(f"{short}executionprovider")
        if name is None:
            raise OptionError(
                f"provider {provider!r} is not available: choose among "
                f"{', '.join(available.values())}."
            )
        chosen.append(name)
    return chosen


def _register(settings: "ort.SessionOptions", library: str | Path) -> None:
    """Give a session the operators of a library."""
    # The loader of the system looks for a bare name in its own folders.
    path = Path(library).absolute()
    try:
        settings.register_custom_ops_library(str(path))
    except Exception as cause:  # ONNX Runtime's exceptions share no base class
        raise OptionError(
            f"custom_ops {str(library)!r}: ONNX Runtime cannot load it: {_first_line(cause)}"
        ) from cause


def _lacks_memory(cause: Exception) -> bool:
    """Whether memory ran out, which ONNX Runtime reports in the text of its exceptions only."""
    words = ("Failed to allocate memory", "bad_alloc", "bad allocation")
    return isinstance(cause, MemoryError) or any(text in str(cause) for text in words)


def _first_line(cause: Exception) -> str:
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0][:300]

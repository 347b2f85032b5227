"""The runtimes that tools/check_runtimes.py compares: one function for each.

Such a function takes the bytes of a file and a feed, and returns the outputs in the file's order.
It uses the runtime's default options, and raises whatever the runtime raises. It imports the
runtime itself, so that a runtime that is not installed is not missed. To add a runtime, write such
a function and enter it in RUNTIMES.
"""

import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import onnx
from check_runtimes_processes import Feed, Outputs, Run

NODE = Path(__file__).parent / "check_runtimes_node.js"


def run_onnxruntime(model: bytes, feed: Feed) -> Outputs:
    """ONNX Runtime with the options that users have."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, feed)


def run_reference(model: bytes, feed: Feed) -> Outputs:
    """The reference implementation that comes with onnx."""
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(onnx.load_from_string(model)).run(None, dict(feed))


def run_openvino(model: bytes, feed: Feed, **settings: str) -> Outputs:
    """OpenVINO on the processor, with its settings of these names."""
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model=model), "CPU", settings)
    results = compiled(dict(feed))
    return [results[output] for output in compiled.outputs]


def run_tract(model: bytes, feed: Feed) -> Outputs:
    """Tract, with the number of samples fixed, as those do who embed it."""
    import tract

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(model)
        loaded = tract.onnx().load(file)
    for index in range(loaded.input_count()):
        values = feed[loaded.input_name(index)]
        kind = f"{values.dtype.kind}{8 * values.dtype.itemsize}"  # f32, i64
        loaded.set_input_fact(index, ",".join([*map(str, values.shape), kind]))
    names = [loaded.input_name(index) for index in range(loaded.input_count())]
    results = loaded.into_model().into_runnable().run([feed[name] for name in names])
    return [result.to_numpy() for result in results]


def run_iree(model: bytes, feed: Feed) -> Outputs:
    """IREE, compiled for the processor with the number of samples fixed."""
    from iree import runtime
    from iree.compiler import compile_str
    from iree.compiler.extras import onnx_importer
    from iree.compiler.ir import Context

    fixed = onnx.shape_inference.infer_shapes(with_samples(model, feed))
    with Context() as context:
        info = onnx_importer.ModelInfo(fixed)
        module = info.create_module(context=context).operation
        onnx_importer.NodeImporter.define_function(info.main_graph, module).import_all()
        text = str(module)
    binary = compile_str(
        text, target_backends=["llvm-cpu"], input_type="onnx",
        extra_args=["--iree-llvmcpu-target-cpu=host"],
    )  # fmt: skip
    system = runtime.SystemContext(config=runtime.Config("local-task"))
    system.add_vm_module(runtime.VmModule.copy_buffer(system.instance, binary))
    results = system.modules["module"][fixed.graph.name](*[feed[n] for n in input_names(fixed)])
    return [np.asarray(each) for each in (results if isinstance(results, tuple) else [results])]


def run_tvm(model: bytes, feed: Feed) -> Outputs:
    """TVM, compiled for the processor with the number of samples fixed."""
    from tvm import cpu, relax, runtime
    from tvm.relax.frontend.onnx import from_onnx

    fixed = with_samples(model, feed)
    machine = relax.VirtualMachine(relax.build(from_onnx(fixed), target="llvm"), cpu())
    results = machine["main"](*[runtime.tensor(feed[name]) for name in input_names(fixed)])
    return [each.numpy() for each in ([results] if hasattr(results, "numpy") else results)]


def run_mnn(model: bytes, feed: Feed) -> Outputs:
    """MNN, with a file that its converter makes.

    The converter is called as the library that it is. The command `mnnconvert` also installs
    packages and reports each use.
    """
    import _tools
    from MNN import expr, nn

    names = [value.name for value in onnx.load_from_string(model).graph.output]
    with tempfile.TemporaryDirectory() as folder:
        file, converted = Path(folder) / "model.onnx", Path(folder) / "model.mnn"
        file.write_bytes(model)
        words = ["mnnconvert", "-f", "ONNX", "--modelFile", file, "--MNNModel", converted]
        _tools.mnnconvert([str(word) for word in [*words, "--bizCode", "check"]])
        if not converted.exists():
            raise RuntimeError("the converter writes no file")
        network = nn.load_module_from_file(str(converted), list(feed), names)
    inputs = [expr.const(values, list(values.shape), expr.NCHW) for values in feed.values()]
    results = network.forward(inputs)
    return [np.array(expr.convert(result, expr.NCHW).read()) for result in results]


def run_javascript(package: str, model: bytes, feed: Feed) -> Outputs:
    """ONNX Runtime for JavaScript, installed by npm in the current folder or above it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.onnx").write_bytes(model)
        inputs = []
        for key, values in feed.items():
            file = f"input{len(inputs)}"
            (folder / file).write_bytes(values.tobytes())
            inputs.append(
                {"name": key, "type": values.dtype.name, "dims": values.shape, "file": file}
            )
        (folder / "inputs.json").write_text(json.dumps(inputs), encoding="utf-8")
        done = subprocess.run(
            ["node", NODE, package, folder], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        outputs = json.loads((folder / "outputs.json").read_text(encoding="utf-8"))
        return [
            np.frombuffer((folder / each["file"]).read_bytes(), each["type"]).reshape(each["dims"])
            for each in outputs
        ]


def with_samples(model: bytes, feed: Feed) -> onnx.ModelProto:
    """The model with the shapes of a feed in place of names like "batch"."""
    fixed = onnx.load_from_string(model)
    del fixed.graph.value_info[:]  # they hold the names, too
    samples = len(next(iter(feed.values())))
    for value in fixed.graph.input:
        for dimension, size in zip(
            value.type.tensor_type.shape.dim, feed[value.name].shape, strict=True
        ):
            dimension.dim_value = size
    for value in fixed.graph.output:
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_value = samples
    return fixed


def input_names(model: onnx.ModelProto) -> list[str]:
    """The inputs, in the file's order."""
    return [value.name for value in model.graph.input]


def installed(*packages: str) -> str | None:
    """The version of Python packages that belong together; None where one is missing."""
    try:
        versions = [version(package) for package in packages]
    except PackageNotFoundError:
        return None
    return versions[0]


def installed_by_npm(package: str, key: str) -> str | None:
    """The version of a package of npm; None where it or node is missing."""
    try:
        done = subprocess.run(
            ["node", "-p", f"require('{package}').env.versions.{key}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        return None
    return None if done.returncode else done.stdout.strip()


@dataclass(frozen=True)
class Runtime:
    """A runtime.

    Attributes:
        run: runs a file.
        version: gives its version; None if it is not installed.
    """

    run: Run
    version: Callable[[], str | None]


def of_javascript(key: str) -> Runtime:
    """ONNX Runtime for "node" or "web"."""
    package = f"onnxruntime-{key}"
    return Runtime(partial(run_javascript, package), partial(installed_by_npm, package, key))


RUNTIMES: Mapping[str, Runtime] = {
    "onnxruntime": Runtime(run_onnxruntime, partial(installed, "onnxruntime")),
    "ort-node": of_javascript("node"),
    "ort-web": of_javascript("web"),
    "reference": Runtime(run_reference, partial(installed, "onnx")),
    "tract": Runtime(run_tract, partial(installed, "tract")),
    "openvino": Runtime(run_openvino, partial(installed, "openvino")),
    "ov-accuracy": Runtime(
        partial(run_openvino, EXECUTION_MODE_HINT="ACCURACY"), partial(installed, "openvino")
    ),
    "iree": Runtime(run_iree, partial(installed, "iree-base-compiler", "iree-base-runtime")),
    "tvm": Runtime(run_tvm, partial(installed, "apache-tvm")),
    "mnn": Runtime(run_mnn, partial(installed, "MNN")),
}

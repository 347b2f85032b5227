// Run a model in ONNX Runtime for JavaScript: tools/check_runtimes_runs.py starts this.
//
//     node check_runtimes_node.js PACKAGE FOLDER
//
// PACKAGE is onnxruntime-node or onnxruntime-web, installed in the current folder or above it.
// FOLDER holds model.onnx and inputs.json, [{name, type, dims, file}, ...]. The outputs are written
// to it, and outputs.json says which, in the same form.

const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");

const TYPES = {
  float32: Float32Array, float64: Float64Array, int8: Int8Array, uint8: Uint8Array,
  int32: Int32Array, int64: BigInt64Array, bool: Uint8Array,
};

async function main(name, folder) {
  const ort = createRequire(path.join(process.cwd(), "here.js"))(name);
  const options = { logSeverityLevel: 4 };
  if (name === "onnxruntime-web") {
    ort.env.wasm.numThreads = 1;
    options.executionProviders = ["wasm"];
  }
  const model = fs.readFileSync(path.join(folder, "model.onnx"));
  const session = await ort.InferenceSession.create(model, options);
  const feeds = {};
  for (const { name, type, dims, file } of JSON.parse(fs.readFileSync(path.join(folder, "inputs.json")))) {
    const bytes = fs.readFileSync(path.join(folder, file));
    const start = bytes.byteOffset;
    const data = new TYPES[type](bytes.buffer.slice(start, start + bytes.byteLength));
    feeds[name] = new ort.Tensor(type, data, dims);
  }
  const results = await session.run(feeds);
  const outputs = session.outputNames.map((name, k) => {
    const { data, type, dims } = results[name];
    fs.writeFileSync(path.join(folder, `output${k}`), Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    return { name, type, dims, file: `output${k}` };
  });
  fs.writeFileSync(path.join(folder, "outputs.json"), JSON.stringify(outputs));
}

main(...process.argv.slice(2)).then(
  () => process.exit(0),
  (cause) => { console.error(cause.message); process.exit(1); },
);

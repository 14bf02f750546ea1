// Runs models in ONNX Runtime Web (WebAssembly, one thread), as a browser does, and prints one JSON line for each.
//
//     npm install onnxruntime-web          in any folder; name its node_modules:
//     node benchmarks/web.mjs FOLDER/node_modules SIDE MODEL.onnx...
//
// A line holds the model's file, and either "error", or "milliseconds" (the median of three pictures of SIDE x SIDE) and
// "strength": whether it can be given, or stays at its default.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [modules, side, ...files] = process.argv.slice(2);
const ort = createRequire(resolve(modules, "onnxruntime-web"))("onnxruntime-web/wasm");
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";

function picture(type, height, width) {
  const levels = Uint8Array.from({ length: height * width * 3 }, (_, i) => (i * 7919) % 256);
  if (type === "uint8") return new ort.Tensor(type, levels, [1, height, width, 3]);
  return new ort.Tensor(type, Float32Array.from(levels, (level) => level / 255), [1, 3, height, width]);
}

async function takesStrength(session, image) {
  try {
    await session.run({ image, strength: new ort.Tensor("float32", [0.5], []) });
    return true;
  } catch {
    return false;
  }
}

async function measure(file) {
  const session = await ort.InferenceSession.create(readFileSync(file), { executionProviders: ["wasm"], logSeverityLevel: 3 });
  const { type } = session.inputMetadata[0];
  const odd = picture(type, 45, 91);
  const { stylized } = await session.run({ image: odd });
  if (stylized.dims.join() !== odd.dims.join()) throw new Error(`shape ${stylized.dims}`);
  const image = picture(type, Number(side), Number(side));
  const times = [];
  for (let i = 0; i < 4; i++) {
    const began = performance.now();
    await session.run({ image });
    if (i) times.push(performance.now() - began);
  }
  return { milliseconds: times.sort((a, b) => a - b)[1], strength: await takesStrength(session, odd) };
}

for (const file of files) {
  let found;
  try {
    found = await measure(file);
  } catch (error) {
    found = { error: String(error).slice(0, 160) };
  }
  console.log(JSON.stringify({ file, ...found }));
}

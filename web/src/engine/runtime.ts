/** ONNX Runtime in the worker: on WebGPU where a device is to be had, else in WebAssembly, by a build of half the size. */

import * as ort from "onnxruntime-web/webgpu";
import { holdAll } from "./held";
import type { Runtime } from "./protocol";

// Its threads and long runs crash on iOS (onnxruntime issues 11679 and 27584), where every browser is Safari.
const SINGLE = /iPad|iPhone|iPod/.test(navigator.userAgent) || (/Macintosh/.test(navigator.userAgent) && navigator.maxTouchPoints > 1);
const MOST_THREADS = 8;

let provider: "webgpu" | "wasm" = "wasm";

/** Load the runtime from the folder `root`; `wanted` is "auto", "wasm" or "webgpu". */
export async function start(root: string, wanted: string): Promise<Runtime> {
  const threads = self.crossOriginIsolated && !SINGLE ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1;
  holdAll();
  ort.env.wasm.numThreads = threads;
  if (wanted === "webgpu" || (wanted === "auto" && (await hasGpu()))) provider = "webgpu";
  const build = `${root}ort/${provider === "webgpu" ? "webgpu" : "plain"}`;
  const files = { mjs: `${build}.mjs`, wasm: `${build}.wasm.gz` };
  ort.env.wasm.wasmPaths = { mjs: files.mjs };
  ort.env.wasm.wasmBinary = await unpacked(files.wasm);
  ort.env.logLevel = "error";
  return { device: device(), threads, files: Object.values(files) };
}

/** Open a model where all of them run. */
export async function openSession(file: Uint8Array): Promise<ort.InferenceSession> {
  return ort.InferenceSession.create(file, { executionProviders: [provider], logSeverityLevel: 3 });
}

/** Where models run now. */
export function device(): Runtime["device"] {
  return provider === "webgpu" ? "WebGPU" : "WASM";
}

/** Leave a WebGPU that failed, for good; false where there is nothing left to fall back to. */
export function leaveGpu(): boolean {
  const left = provider === "webgpu";
  provider = "wasm";
  return left;
}

interface Adapter {
  info?: { isFallbackAdapter?: boolean; architecture?: string };
}

/** Whether there is a graphics processor: one that is only imitated is slower than WebAssembly. */
async function hasGpu(): Promise<boolean> {
  try {
    const gpu = (navigator as { gpu?: { requestAdapter(): Promise<Adapter | null> } }).gpu;
    const adapter = await gpu?.requestAdapter();
    return Boolean(adapter) && !adapter?.info?.isFallbackAdapter && adapter?.info?.architecture !== "swiftshader";
  } catch {
    return false;
  }
}

async function unpacked(url: string): Promise<ArrayBuffer> {
  const response = await fetch(url);
  if (!response.ok || !response.body) throw new Error("The runtime could not be loaded; reload the page.");
  const packed = await response.arrayBuffer();
  // Some hosts unpack what ends in .gz on the way.
  if (new Uint8Array(packed)[0] !== 0x1f) return packed;
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

export { ort };

/** What the page and its worker say to each other. */

import type { Card } from "../onnx/forms";

export interface Painted {
  rgba: Uint8ClampedArray<ArrayBuffer>;
  width: number;
  height: number;
  /** Milliseconds that the network took. */
  ms: number;
  device: Runtime["device"];
}

export interface Runtime {
  device: "WebGPU" | "WASM";
  threads: number;
}

export interface Requests {
  start: { request: { root: string; device: string }; reply: Runtime };
  photo: { request: { source: Blob | ImageBitmap }; reply: { width: number; height: number } };
  style: { request: { key: string; file: ArrayBuffer; source: string }; reply: Card };
  /** The photo at this longer side at most. */
  paint: { request: { key: string; strength: number; side: number }; reply: Painted };
  frame: { request: { key: string; strength: number; bitmap: ImageBitmap }; reply: Painted };
  full: { request: { key: string; strength: number; type: string; quality: number }; reply: Blob | null };
}

export type Kind = keyof Requests;

export interface Call<K extends Kind = Kind> {
  id: number;
  kind: K;
  request: Requests[K]["request"];
}

export type Answer =
  | { id: number; reply: Requests[Kind]["reply"] }
  | { id: number; error: string }
  | { id: number; progress: number };

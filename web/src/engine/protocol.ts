/** What the page and its worker say to each other. */

import type { Card } from "../onnx/forms";

export interface Painted {
  rgba: Uint8ClampedArray<ArrayBuffer>;
  width: number;
  height: number;
  /** Milliseconds that painting took. */
  ms: number;
  device: Runtime["device"];
}

/** A style as it is to be painted: its model, which of the model's styles, and how strongly. */
export interface Look {
  model: string;
  style: number;
  strength: number;
}

export interface Runtime {
  device: "WebGPU" | "WASM";
  threads: number;
  /** The addresses of what was loaded for it. */
  files: string[];
}

export interface Requests {
  start: { request: { root: string; device: string }; reply: Runtime };
  photo: { request: { source: Blob | ImageBitmap }; reply: { width: number; height: number } };
  model: { request: { key: string; file: ArrayBuffer; source: string }; reply: Card };
  /** The photo at this longer side at most; `first`: the longer side of its first octave. */
  paint: { request: { look: Look; side: number; first: number }; reply: Painted };
  frame: { request: { look: Look; bitmap: ImageBitmap }; reply: Painted };
  full: { request: { look: Look; first: number; type: string; quality: number }; reply: Blob | null };
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

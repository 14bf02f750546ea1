/** The worker: holds the photo and the open styles, and does one thing at a time. */

import { type Size, Stopped, paintInOctaves, reduced } from "./octaves";
import type { Answer, Call, Kind, Painted, Requests } from "./protocol";
import { device, start } from "./runtime";
import { type Pixels, Style, firstLine } from "./style";

const styles = new Map<string, Style>();
let photo: ImageBitmap | undefined;
let stop = false;
let queue: Promise<void> = Promise.resolve();

type Handlers = { [K in Kind]: (request: Requests[K]["request"], id: number) => Promise<Requests[K]["reply"]> };

const handlers: Handlers = {
  start: ({ root, device }) => start(root, device),

  async photo({ source }) {
    let next: ImageBitmap;
    try {
      next = source instanceof Blob ? await createImageBitmap(source) : source;
    } catch {
      throw new Error("This file is not a picture that the browser can read.");
    }
    photo?.close();
    photo = next;
    return { width: photo.width, height: photo.height };
  },

  async style({ key, file, source }) {
    const style = await Style.open(file, source);
    await styles.get(key)?.close();
    styles.set(key, style);
    return style.card;
  },

  async paint({ key, strength, side }) {
    return painted(find(key), pixels(thePhoto(), side), strength);
  },

  async frame({ key, strength, bitmap }) {
    const frame = pixels(bitmap, Math.max(bitmap.width, bitmap.height));
    bitmap.close();
    return painted(find(key), frame, strength);
  },

  async full({ key, strength, type, quality }, id) {
    stop = false;
    const style = find(key);
    try {
      const result = await paintInOctaves(thePhoto(), style, strength, async (share) => {
        answer({ id, progress: share });
        await new Promise((resolve) => setTimeout(resolve)); // lets a message to stop come in
        if (stop) throw new Stopped();
      });
      return await result.convertToBlob({ type, quality });
    } catch (error) {
      if (error instanceof Stopped) return null;
      throw error;
    } finally {
      await style.rest();
    }
  },
};

self.onmessage = (event: MessageEvent<Call | "stop">) => {
  if (event.data === "stop") {
    stop = true;
    return;
  }
  const call = event.data;
  queue = queue.then(() => handle(call));
};

async function handle({ id, kind, request }: Call): Promise<void> {
  try {
    const reply = await (handlers[kind] as (request: unknown, id: number) => Promise<Requests[Kind]["reply"]>)(request, id);
    answer({ id, reply });
  } catch (error) {
    answer({ id, error: firstLine(error) });
  }
}

function answer(message: Answer): void {
  const pixels = "reply" in message ? (message.reply as Partial<Painted> | null)?.rgba : undefined;
  self.postMessage(message, { transfer: pixels ? [pixels.buffer] : [] });
}

async function painted(style: Style, from: Pixels, strength: number): Promise<Painted> {
  const began = performance.now();
  const { data, width, height } = await style.paint(from, strength);
  return { rgba: data, width, height, ms: performance.now() - began, device: device() };
}

function pixels(from: ImageBitmap, side: number): Pixels {
  const share = Math.min(1, side / Math.max(from.width, from.height));
  const size: Size = { width: Math.max(1, Math.round(from.width * share)), height: Math.max(1, Math.round(from.height * share)) };
  return reduced(from, size).getContext("2d")!.getImageData(0, 0, size.width, size.height);
}

function thePhoto(): ImageBitmap {
  if (!photo) throw new Error("There is no picture yet.");
  return photo;
}

function find(key: string): Style {
  const style = styles.get(key);
  if (!style) throw new Error("This style is not loaded yet.");
  return style;
}

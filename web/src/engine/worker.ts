/** The worker: holds the photo and the open styles, and does one thing at a time. */

import { readExif, withExif } from "./exif";
import { HELLO } from "./held";
import { type Size, Stopped, paintInOctaves, reduced } from "./octaves";
import type { Answer, Call, Kind, Look, Painted, Requests } from "./protocol";
import { device, start } from "./runtime";
import { type Pixels, Style, firstLine } from "./style";

const models = new Map<string, Style>();
let photo: ImageBitmap | undefined;
let exif: Uint8Array<ArrayBuffer> | undefined;
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
    exif = source instanceof Blob ? await readExif(source) : undefined;
    return { width: photo.width, height: photo.height };
  },

  async model({ key, file, source }) {
    const style = await Style.open(file, source);
    await models.get(key)?.close();
    models.set(key, style);
    return style.card;
  },

  async paint({ look, side, first }) {
    const from = thePhoto();
    const size = within(from, side);
    return timed(async () => pixels(await paintInOctaves(reduced(from, size), find(look), look, first, () => undefined)));
  },

  async frame({ look, bitmap }) {
    const frame = pixels(reduced(bitmap, bitmap));
    bitmap.close();
    return timed(() => find(look).paint(frame, look));
  },

  async full({ look, first, type, quality }, id) {
    stop = false;
    const style = find(look);
    try {
      const result = await paintInOctaves(thePhoto(), style, look, first, async (share) => {
        answer({ id, progress: share });
        await new Promise((resolve) => setTimeout(resolve)); // lets a message to stop come in
        if (stop) throw new Stopped();
      });
      if (type === "image/png") keepTransparency(result, thePhoto());
      const blob = await result.convertToBlob({ type, quality });
      return exif && type === "image/jpeg" ? withExif(blob, exif) : blob;
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
self.postMessage(HELLO);

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

async function timed(work: () => Promise<Pixels>): Promise<Painted> {
  const began = performance.now();
  const { data, width, height } = await work();
  return { rgba: data, width, height, ms: performance.now() - began, device: device() };
}

function pixels(from: OffscreenCanvas): Pixels {
  return from.getContext("2d")!.getImageData(0, 0, from.width, from.height);
}

/** Give a painting the photo's alpha. */
function keepTransparency(painting: OffscreenCanvas, from: ImageBitmap): void {
  const context = painting.getContext("2d")!;
  context.globalCompositeOperation = "destination-in";
  context.drawImage(from, 0, 0);
}

/** The size of a photo whose longer side is `side` at most. */
function within(own: Size, side: number): Size {
  const share = Math.min(1, side / Math.max(own.width, own.height));
  return { width: Math.max(1, Math.round(own.width * share)), height: Math.max(1, Math.round(own.height * share)) };
}

function thePhoto(): ImageBitmap {
  if (!photo) throw new Error("There is no picture yet.");
  return photo;
}

function find({ model }: Look): Style {
  const style = models.get(model);
  if (!style) throw new Error("This style is not loaded yet.");
  return style;
}

/** One model: paints pictures whole, measures samples of a large one, and paints its tiles. */

import { type Card, measuringForm, open, tileForm, webForm } from "../onnx/forms";
import type { Look } from "./protocol";
import { device, leaveGpu, openSession, ort } from "./runtime";

export interface Pixels {
  /** RGBA, of which alpha is not looked at. */
  data: Uint8ClampedArray<ArrayBuffer>;
  width: number;
  height: number;
}

/** Pixels around a picture, mirrored, that are painted and cut off, as onestroke/inference/stylizer.py does. */
export const MARGIN = 24;

export type Statistics = Record<string, ort.Tensor>;

export class Style {
  private whole: Promise<ort.InferenceSession> | undefined;
  private place = device();
  private tiles: Promise<ort.InferenceSession> | undefined;

  private constructor(readonly card: Card, private readonly file: Uint8Array) {}

  /** Throws Error with a readable line for a file that is no model of ours. */
  static async open(file: ArrayBuffer, source: string): Promise<Style> {
    const { graph, card } = open(new Uint8Array(file), source);
    webForm(graph, source);
    const style = new Style(card, graph.bytes());
    try {
      await style.session();
    } catch (error) {
      if (leaveGpu()) return Style.open(file, source);
      throw new Error(`${source} could not be opened (${firstLine(error)}).`);
    }
    return style;
  }

  /** Paint a picture of any size at once; where a GPU fails at it, in WebAssembly from then on. */
  async paint(photo: Pixels, look: Look): Promise<Pixels> {
    try {
      return await this.paintOnce(photo, look);
    } catch (error) {
      if (!leaveGpu() && this.place === device()) throw error;
      return this.paintOnce(photo, look);
    }
  }

  private async paintOnce(photo: Pixels, look: Look): Promise<Pixels> {
    const beyond = (extent: number) => MARGIN + Math.max(0, this.card.minimum - extent - 2 * MARGIN);
    const framed = mirrored(photo, MARGIN, MARGIN, beyond(photo.width), beyond(photo.height));
    const results = await (await this.session()).run(this.feed([framed], look));
    const painted = await this.pixels(results["stylized"]!, framed.width, framed.height);
    return crop(painted, MARGIN, MARGIN, photo.width, photo.height);
  }

  /** The statistics of every norm over samples of a picture, all of one size. */
  async measure(samples: Pixels[], look: Look): Promise<Statistics> {
    const session = await openSession(measuringForm(this.file));
    const names = session.outputNames.filter((name) => name !== "stylized");
    const results = await session.run(this.feed(samples, look), names);
    const kept: Statistics = {};
    for (const name of names) {
      const data = (await results[name]!.getData()) as Float32Array;
      kept[name] = new ort.Tensor("float32", data.slice(), [...results[name]!.dims]);
    }
    await session.release();
    return kept;
  }

  /** Paint a tile of a picture that has these statistics. */
  async paintTile(tile: Pixels, look: Look, statistics: Statistics): Promise<Pixels> {
    this.tiles ??= openSession(tileForm(this.file));
    const results = await (await this.tiles).run({ ...this.feed([tile], look), ...statistics });
    return this.pixels(results["stylized"]!, tile.width, tile.height);
  }

  /** Give back what large pictures took. */
  async rest(): Promise<void> {
    await (await this.tiles)?.release();
    this.tiles = undefined;
  }

  async close(): Promise<void> {
    await (await this.whole)?.release();
    await this.rest();
  }

  private session(): Promise<ort.InferenceSession> {
    // Others may have found that the GPU fails.
    if (this.place !== device()) this.whole = undefined;
    this.place = device();
    this.whole ??= openSession(this.file);
    return this.whole;
  }

  private feed(images: Pixels[], look: Look): Record<string, ort.Tensor> {
    const image = this.card.io === "uint8" ? levels(images) : floats(images);
    const strength = new ort.Tensor("float32", Float32Array.of(look.strength), []);
    const { styles } = this.card;
    if (!styles.length) return { image, strength };
    const weights = Float32Array.from(styles, (_, place) => Number(place === look.style));
    return { image, strength, styles: new ort.Tensor("float32", weights, [styles.length]) };
  }

  private async pixels(result: ort.Tensor, width: number, height: number): Promise<Pixels> {
    const values = (await result.getData()) as Uint8Array | Float32Array;
    const data = new Uint8ClampedArray(width * height * 4);
    const plane = width * height;
    const packed = this.card.io === "uint8";
    for (let i = 0; i < plane; i++) {
      for (let c = 0; c < 3; c++) {
        data[4 * i + c] = packed ? values[3 * i + c]! : values[c * plane + i]! * 255;
      }
      data[4 * i + 3] = 255;
    }
    result.dispose();
    return { data, width, height };
  }
}

export function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n")[0]!.slice(0, 160);
}

/** A part of a picture. */
export function crop(from: Pixels, left: number, top: number, width: number, height: number): Pixels {
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    const start = ((top + y) * from.width + left) * 4;
    data.set(from.data.subarray(start, start + width * 4), y * width * 4);
  }
  return { data, width, height };
}

/** A picture with its mirror image around it, that many pixels on each side. */
export function mirrored(photo: Pixels, left: number, top: number, right: number, bottom: number): Pixels {
  const width = left + photo.width + right;
  const height = top + photo.height + bottom;
  const from = new Uint32Array(photo.data.buffer, photo.data.byteOffset, photo.width * photo.height);
  const data = new Uint32Array(width * height);
  const columns = Int32Array.from({ length: width }, (_, x) => reflected(x - left, photo.width));
  for (let y = 0; y < height; y++) {
    const row = reflected(y - top, photo.height) * photo.width;
    for (let x = 0; x < width; x++) data[y * width + x] = from[row + columns[x]!]!;
  }
  return { data: new Uint8ClampedArray(data.buffer), width, height };
}

/** Where a position beyond the edge lands, the edge itself not doubled. */
function reflected(at: number, length: number): number {
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const place = ((at % period) + period) % period;
  return place < length ? place : period - place;
}

function levels(images: Pixels[]): ort.Tensor {
  const { width, height } = images[0]!;
  const data = new Uint8Array(images.length * width * height * 3);
  let to = 0;
  for (const image of images) {
    for (let at = 0; at < image.data.length; at += 4) {
      data[to++] = image.data[at]!;
      data[to++] = image.data[at + 1]!;
      data[to++] = image.data[at + 2]!;
    }
  }
  return new ort.Tensor("uint8", data, [images.length, height, width, 3]);
}

function floats(images: Pixels[]): ort.Tensor {
  const { width, height } = images[0]!;
  const plane = width * height;
  const data = new Float32Array(images.length * plane * 3);
  images.forEach((image, n) => {
    for (let i = 0; i < plane; i++) {
      for (let c = 0; c < 3; c++) data[(n * 3 + c) * plane + i] = image.data[4 * i + c]! / 255;
    }
  });
  return new ort.Tensor("float32", data, [images.length, 3, height, width]);
}

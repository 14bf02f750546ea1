/**
 * Large photos by octaves, as onestroke/inference/brush.py paints them: small first, then enlarged and painted over, in tiles
 * where a picture does not fit the network at once. Memory holds the photo, the result and one picture a third of its size.
 */

import { NEAR } from "../brush";
import type { Look } from "./protocol";
import { MARGIN, type Pixels, type Statistics, Style, crop, mirrored } from "./style";
import { blurred } from "./blur";
import { grainAt } from "./grain";

const STEP = 1.74;
const DETAIL = 0.8;
const OVER = 0.25;
/** Pixels that are painted at once; more are cut into tiles of this side. */
const AT_ONCE = 2_000_000;
const TILE = 1024;
const SAMPLES = 6;
const SAMPLE = 512;

export interface Size {
  width: number;
  height: number;
}

/** Thrown where somebody asked to stop. */
export class Stopped extends Error {}

export type Report = (share: number) => void | Promise<void>;

/** The sizes at which a photo is painted, the last its own; `first`: the longer side of the first octave. */
export function sizes(own: Size, first: number): Size[] {
  const ratio = Math.max(own.width, own.height) / first;
  if (ratio < NEAR) return [own];
  const octaves = Math.max(1, Math.trunc(Math.log(ratio) / Math.log(STEP)));
  const shares = Array.from({ length: octaves }, (_, step) => ratio ** (step / octaves - 1));
  const scaled = (share: number) => ({
    width: Math.max(1, Math.round(own.width * share)),
    height: Math.max(1, Math.round(own.height * share)),
  });
  return [...shares.map(scaled), own];
}

/** Paint `photo` at its own size. `report` is told the share done, and throws Stopped to end the work. */
export async function paintInOctaves(
  photo: ImageBitmap | OffscreenCanvas,
  style: Style,
  look: Look,
  first: number,
  report: Report,
): Promise<OffscreenCanvas> {
  const steps = sizes(photo, look.strength === 0 ? Infinity : first);
  const total = steps.reduce((sum, size) => sum + size.width * size.height, 0);
  let done = 0;
  let before: OffscreenCanvas | undefined;
  let painting: OffscreenCanvas | undefined;
  for (const size of steps) {
    const last = size === steps.at(-1);
    const now = last && size.width === photo.width ? photo : reduced(photo, size);
    const octave = new Octave(now, size, painting, before);
    const advance = (pixels: number) => report(Math.min(1, (done += pixels) / total));
    painting = await paintOctave(octave, style, look, advance);
    before = last ? undefined : (now as OffscreenCanvas);
  }
  return painting!;
}

/** One size of the photo, the painting before it, and where they meet. */
class Octave {
  constructor(
    private readonly photo: CanvasImageSource,
    readonly size: Size,
    private readonly painting?: OffscreenCanvas,
    private readonly before?: OffscreenCanvas,
  ) {}

  /** What the network is shown of a part of the picture. */
  guide(part: Box): Pixels {
    const shown = read(this.photo, part);
    if (!this.painting || !this.before) return shown;
    const painted = this.enlarged(this.painting, part).data;
    const soft = this.enlarged(this.before, part).data;
    const { data } = shown;
    for (let at = 0, i = 0; at < data.length; at += 4, i++) {
      const grain = grainAt(part.left + (i % part.width), part.top + Math.floor(i / part.width));
      const change = DETAIL * (luminance(data, at) - luminance(soft, at)) + grain;
      for (let c = at; c < at + 3; c++) data[c] = painted[c]! + change;
    }
    return shown;
  }

  /** Replace what is coarse in `over` by the painting before it, but for OVER of it; in place. */
  keepCoarse(over: Pixels, part: Box): void {
    if (!this.painting) return;
    const kept = this.enlarged(this.painting, part).data;
    const own = blurred(over, Math.max(1, Math.round(this.size.width / this.painting.width / 2)));
    for (let at = 0; at < over.data.length; at++) {
      if (at % 4 < 3) over.data[at] = over.data[at]! + (1 - OVER) * (kept[at]! - own[at]!);
    }
  }

  private enlarged(small: OffscreenCanvas, part: Box): Pixels {
    const x = small.width / this.size.width;
    const y = small.height / this.size.height;
    const context = canvas(part).getContext("2d", { willReadFrequently: true })!;
    context.imageSmoothingQuality = "high";
    // The whole is placed, not its part: so every tile sees the same pixels, whatever its edges are.
    context.setTransform(1 / x, 0, 0, 1 / y, -part.left, -part.top);
    context.drawImage(small, 0, 0);
    return context.getImageData(0, 0, part.width, part.height);
  }
}

interface Box extends Size {
  left: number;
  top: number;
}

async function paintOctave(octave: Octave, style: Style, look: Look, advance: Report): Promise<OffscreenCanvas> {
  const { width, height } = octave.size;
  const result = canvas(octave.size);
  const context = result.getContext("2d", { willReadFrequently: true })!;
  if (width * height <= AT_ONCE) {
    const all = { left: 0, top: 0, width, height };
    const over = await style.paint(octave.guide(all), look);
    octave.keepCoarse(over, all);
    context.putImageData(new ImageData(over.data, width, height), 0, 0);
    await advance(width * height);
    return result;
  }
  const statistics = await measure(octave, style, look);
  for (const own of grid(octave.size)) {
    const over = await paintPart(octave, style, look, statistics, own);
    context.putImageData(new ImageData(over.data, own.width, own.height), own.left, own.top);
    await advance(own.width * own.height);
  }
  return result;
}

async function paintPart(octave: Octave, style: Style, look: Look, statistics: Statistics, own: Box): Promise<Pixels> {
  const part = grown(own, octave.size, style);
  const left = part.left === 0 ? MARGIN : 0;
  const top = part.top === 0 ? MARGIN : 0;
  const right = part.left + part.width === octave.size.width ? MARGIN : 0;
  const bottom = part.top + part.height === octave.size.height ? MARGIN : 0;
  const framed = mirrored(octave.guide(part), left, top, right, bottom);
  const over = crop(await style.paintTile(framed, look, statistics), left, top, part.width, part.height);
  octave.keepCoarse(over, part);
  return crop(over, own.left - part.left, own.top - part.top, own.width, own.height);
}

/** Samples in even steps over the picture stand for all of it: so no tile differs from its neighbors. */
function measure(octave: Octave, style: Style, look: Look): Promise<Statistics> {
  const { width, height } = octave.size;
  const side = { width: Math.min(SAMPLE, width), height: Math.min(SAMPLE, height) };
  const columns = Math.max(1, Math.round(Math.sqrt((SAMPLES * width) / height)));
  const rows = Math.max(1, Math.round(SAMPLES / columns));
  const places = Array.from({ length: columns * rows }, (_, i) => ({
    left: Math.round(((width - side.width) * ((i % columns) + 0.5)) / columns),
    top: Math.round(((height - side.height) * (Math.floor(i / columns) + 0.5)) / rows),
  }));
  return style.measure(places.map((place) => octave.guide({ ...place, ...side })), look);
}

function grid(size: Size): Box[] {
  const boxes: Box[] = [];
  for (let top = 0; top < size.height; top += TILE) {
    for (let left = 0; left < size.width; left += TILE) {
      boxes.push({ left, top, width: Math.min(TILE, size.width - left), height: Math.min(TILE, size.height - top) });
    }
  }
  return boxes;
}

/** A tile with what its pixels see around it, begun where the network's strides begin. */
function grown(own: Box, size: Size, style: Style): Box {
  const { halo, multiple, minimum } = style.card;
  const margin = Math.ceil((halo + minimum) / multiple) * multiple;
  const left = Math.max(0, own.left - margin);
  const top = Math.max(0, own.top - margin);
  const right = Math.min(size.width, own.left + own.width + margin);
  const bottom = Math.min(size.height, own.top + own.height + margin);
  return { left, top, width: right - left, height: bottom - top };
}

function luminance(data: Uint8ClampedArray, at: number): number {
  return 0.299 * data[at]! + 0.587 * data[at + 1]! + 0.114 * data[at + 2]!;
}

export function canvas(size: Size): OffscreenCanvas {
  return new OffscreenCanvas(size.width, size.height);
}

/** A picture at another size, on white where it is transparent. */
export function reduced(photo: CanvasImageSource, size: Size): OffscreenCanvas {
  const made = canvas(size);
  const context = made.getContext("2d", { willReadFrequently: true })!;
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white";
  context.fillRect(0, 0, size.width, size.height);
  context.drawImage(photo, 0, 0, size.width, size.height);
  return made;
}

function read(from: CanvasImageSource, part: Box): Pixels {
  const context = canvas(part).getContext("2d", { willReadFrequently: true })!;
  context.fillStyle = "white";
  context.fillRect(0, 0, part.width, part.height);
  context.drawImage(from, -part.left, -part.top);
  return context.getImageData(0, 0, part.width, part.height);
}

/**
 * Large photos by octaves, as onestroke/inference/brush.py paints them: small first, then enlarged and painted over, in tiles
 * where a picture does not fit the network at once. Memory holds the photo, the result and one picture a third of its size.
 */

import { NEAR } from "../brush";
import type { Look } from "./protocol";
import { MARGIN, type Pixels, type Statistics, Style, crop, mirrored } from "./style";
import { blurred } from "./blur";
import { grainAt, grained } from "./grain";

const STEP = 1.9;
const DETAIL = 0.8;
const OVER = 0.25;
const GRAIN = 10;
/** Pixels that are painted at once; more are cut into tiles of this side. */
const AT_ONCE = 2_000_000;
const TILE = 1024;
const SAMPLES = 6;
const SAMPLE = 512;

export interface Size {
  width: number;
  height: number;
}

type Picture = ImageBitmap | OffscreenCanvas;

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
  photo: Picture,
  style: Style,
  look: Look,
  first: number,
  report: Report,
): Promise<OffscreenCanvas> {
  const steps = sizes(photo, look.strength === 0 ? Infinity : first);
  const total = steps.reduce((sum, size) => sum + size.width * size.height, 0);
  let done = 0;
  // Where the photo shows through, so would its grain; and a native brush leaves it out.
  const under = first < Infinity ? style.card.grain * Math.min(1, look.strength / style.card.solid) : 0;
  const advance = (pixels: number) => report(Math.min(1, (done += pixels) / total));
  let before: Before | undefined;
  for (const size of steps) {
    const now = size === photo ? photo : reduced(photo, size);
    before = { photo: now, painting: await paintOctave(new Octave(now, under, before), style, look, advance) };
  }
  return before!.painting;
}

/** A smaller octave: its photo, and what it became. */
interface Before {
  photo: Picture;
  painting: OffscreenCanvas;
}

/** One size of the photo, the octave before it, and where they meet. */
class Octave {
  constructor(
    readonly photo: Picture,
    /** Grain under the photo of the first one, in levels. */
    private readonly under: number,
    private readonly before?: Before,
  ) {}

  /** What the network is shown of a part of the picture. */
  guide(part: Box): Pixels {
    const shown = this.seen(this.photo, part);
    if (!this.before) return grained(shown, part.left, part.top, this.under);
    const painted = this.seen(this.before.painting, part).data;
    const soft = this.seen(this.before.photo, part).data;
    const { data } = shown;
    for (let at = 0, i = 0; at < data.length; at += 4, i++) {
      const grain = grainAt(part.left + (i % part.width), part.top + Math.floor(i / part.width), GRAIN);
      const change = DETAIL * (luminance(data, at) - luminance(soft, at)) + grain;
      for (let c = at; c < at + 3; c++) data[c] = painted[c]! + change;
    }
    return shown;
  }

  /** `over` with what is coarse in it replaced by the painting before it, but for OVER of it; in place. */
  keepCoarse(over: Pixels, part: Box): Pixels {
    if (!this.before) return over;
    const { painting } = this.before;
    const kept = this.seen(painting, part).data;
    const own = blurred(over, Math.max(1, Math.round(this.photo.width / painting.width / 2)));
    for (let at = 0; at < over.data.length; at++) {
      if (at % 4 < 3) over.data[at] = over.data[at]! + (1 - OVER) * (kept[at]! - own[at]!);
    }
    return over;
  }

  /** A part of a picture that is brought to this octave's size. */
  private seen(picture: Picture, part: Box): Pixels {
    return drawn(picture, this.photo, part).getImageData(0, 0, part.width, part.height);
  }
}

interface Box extends Size {
  left: number;
  top: number;
}

async function paintOctave(octave: Octave, style: Style, look: Look, advance: Report): Promise<OffscreenCanvas> {
  const { width, height } = octave.photo;
  const context = blank(octave.photo);
  const statistics = width * height > AT_ONCE ? await measure(octave, style, look) : undefined;
  for (const own of grid(octave.photo, statistics ? TILE : Infinity)) {
    const over = statistics
      ? await paintTile(octave, style, look, statistics, own)
      : octave.keepCoarse(await style.paint(octave.guide(own), look), own);
    context.putImageData(new ImageData(over.data, own.width, own.height), own.left, own.top);
    await advance(own.width * own.height);
  }
  return context.canvas;
}

async function paintTile(octave: Octave, style: Style, look: Look, statistics: Statistics, own: Box): Promise<Pixels> {
  const part = grown(own, octave.photo, style);
  const left = part.left === 0 ? MARGIN : 0;
  const top = part.top === 0 ? MARGIN : 0;
  const right = part.left + part.width === octave.photo.width ? MARGIN : 0;
  const bottom = part.top + part.height === octave.photo.height ? MARGIN : 0;
  const framed = mirrored(octave.guide(part), left, top, right, bottom);
  const painted = crop(await style.paintTile(framed, look, statistics), left, top, part.width, part.height);
  const over = octave.keepCoarse(painted, part);
  return crop(over, own.left - part.left, own.top - part.top, own.width, own.height);
}

/** Samples in even steps over the picture stand for all of it: so no tile differs from its neighbors. */
function measure(octave: Octave, style: Style, look: Look): Promise<Statistics> {
  const { width, height } = octave.photo;
  const side = { width: Math.min(SAMPLE, width), height: Math.min(SAMPLE, height) };
  const columns = Math.max(1, Math.round(Math.sqrt((SAMPLES * width) / height)));
  const rows = Math.max(1, Math.round(SAMPLES / columns));
  const places = Array.from({ length: columns * rows }, (_, i) => ({
    left: Math.round(((width - side.width) * ((i % columns) + 0.5)) / columns),
    top: Math.round(((height - side.height) * (Math.floor(i / columns) + 0.5)) / rows),
  }));
  return style.measure(places.map((place) => octave.guide({ ...place, ...side })), look);
}

function grid(size: Size, side: number): Box[] {
  const boxes: Box[] = [];
  for (let top = 0; top < size.height; top += side) {
    for (let left = 0; left < size.width; left += side) {
      boxes.push({ left, top, width: Math.min(side, size.width - left), height: Math.min(side, size.height - top) });
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

/** A picture at another size, on white where it is transparent. */
export function reduced(photo: Picture, size: Size): OffscreenCanvas {
  return drawn(photo, size, { left: 0, top: 0, width: size.width, height: size.height }).canvas;
}

/** A part of a picture that is brought to `size`, on white where it is transparent. */
function drawn(picture: Picture, size: Size, part: Box): OffscreenCanvasRenderingContext2D {
  const context = blank(part);
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white";
  context.fillRect(0, 0, part.width, part.height);
  // The whole is placed, not its part: so every tile sees the same pixels, whatever its edges are.
  context.drawImage(picture, -part.left, -part.top, size.width, size.height);
  return context;
}

function blank({ width, height }: Size): OffscreenCanvasRenderingContext2D {
  return new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
}

/** Grain, which strokes follow where a photo is smooth: the same as onestroke/grain.py makes. */

import type { Pixels } from "./style";

const SIDE = 512;

const noise = tile();
const spread = Math.sqrt(noise.reduce((sum, value) => sum + value * value, 0) / noise.length - mean(noise) ** 2);

/** Whole levels of a standard deviation, to add at a place of the picture; the same whatever tile asks. */
export function grainAt(x: number, y: number, deviation: number): number {
  return Math.round(noise[(y % SIDE) * SIDE + (x % SIDE)]! * (deviation / spread));
}

/** A part of a picture that begins at a place, with grain; in place. */
export function grained(part: Pixels, left: number, top: number, deviation: number): Pixels {
  if (!deviation) return part;
  const { data, width } = part;
  for (let at = 0, i = 0; at < data.length; at += 4, i++) {
    const grain = grainAt(left + (i % width), top + Math.floor(i / width), deviation);
    for (let c = at; c < at + 3; c++) data[c] = data[c]! + grain;
  }
  return part;
}

/** Integers, about normal: hashes of their places (MurmurHash3's last step), softened by 1 2 1. */
function tile(): Int32Array {
  const raw = Int32Array.from({ length: SIDE * SIDE }, (_, i) => {
    let bits = Math.imul(i + 1, 0x9e3779b1);
    bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
    bits ^= bits >>> 16;
    return (bits & 255) + ((bits >>> 8) & 255) + ((bits >>> 16) & 255) + (bits >>> 24) - 510;
  });
  return softened(softened(raw, false), true);
}

/** Each value with both its neighbors in its column, or its row; the tile goes on at its other side. */
function softened(values: Int32Array, across: boolean): Int32Array {
  const [step, turn] = across ? [1, SIDE] : [SIDE, SIDE * SIDE];
  return values.map((value, i) => {
    const line = i - (i % turn);
    return values[line + ((i - line + turn - step) % turn)]! + 2 * value + values[line + ((i - line + step) % turn)]!;
  });
}

function mean(values: Int32Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

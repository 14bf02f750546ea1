/** A soft low pass that looks the same wherever a tile begins: two box filters in each direction. */

import type { Pixels } from "./style";

/** The picture without what is finer than `radius` pixels, RGBA. */
export function blurred(from: Pixels, radius: number): Uint8ClampedArray {
  if (radius < 1) return from.data;
  let data: Uint8ClampedArray = from.data;
  for (let pass = 0; pass < 2; pass++) {
    data = boxed(data, from.height, from.width, from.width * 4, 4, radius);
    data = boxed(data, from.width, from.height, 4, from.width * 4, radius);
  }
  return data;
}

/** Means of 2 * radius + 1 pixels along lines of `count` pixels that lie `step` bytes apart. */
function boxed(from: Uint8ClampedArray, lines: number, count: number, apart: number, step: number, radius: number) {
  const to = new Uint8ClampedArray(from.length);
  const share = 1 / (2 * radius + 1);
  for (let line = 0; line < lines; line++) {
    for (let c = 0; c < 3; c++) {
      const start = line * apart + c;
      const at = (i: number) => from[start + Math.min(count - 1, Math.max(0, i)) * step]!;
      let sum = 0;
      for (let i = -radius; i <= radius; i++) sum += at(i);
      for (let i = 0; i < count; i++) {
        to[start + i * step] = sum * share;
        sum += at(i + radius + 1) - at(i - radius);
      }
    }
  }
  return to;
}

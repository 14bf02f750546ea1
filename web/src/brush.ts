/** The brush: the longer side at which a photo is painted first, as onestroke/inference/brush.py has it. */

import type { Card } from "./onnx/forms";

const AUTO_CROPS = 3;
const LEAST_CROP = 256;
/** Photos less than this many times larger than the first octave are painted at once. */
export const NEAR = 1.42;
/** Of the slider, in octaves; its end, and the smallest side of a first octave. */
export const STEP = 0.25;
const BROADEST = 2;
const LEAST_SIDE = 160;

/** What the slider allows for a style and a photo's longer side: octaves from auto (0). The lowest, if below 0, is native. */
export function range(card: Card, longest: number): { min: number; max: number } {
  const finer = Math.log2(longest / NEAR / auto(card));
  const broader = Math.min(BROADEST, Math.log2(base(card, longest) / LEAST_SIDE));
  return { min: finer < 0 ? 0 : -STEP * (Math.floor(finer / STEP) + 1), max: Math.max(0, STEP * Math.floor(broader / STEP)) };
}

/** Where the slider's place begins, in pixels; Infinity: the photo is painted at its own size alone. */
export function firstSide(card: Card, longest: number, octaves: number): number {
  if (octaves === 0) return auto(card);
  const side = Math.round(base(card, longest) / 2 ** octaves);
  return longest / side < NEAR ? Infinity : side;
}

function auto(card: Card): number {
  return AUTO_CROPS * Math.max(card.train_size, LEAST_CROP);
}

/** Auto, or what a smaller photo would have to exceed: so that every step to a broader brush is seen. */
function base(card: Card, longest: number): number {
  return Math.min(auto(card), longest / NEAR);
}

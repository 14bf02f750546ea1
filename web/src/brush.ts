/** The brush: the longer side at which a photo is painted first, as onestroke/inference/brush.py has it. */

/** Where auto begins, in pixels. */
const AUTO_LENGTH = 960;
/** Photos less than this many times larger than the first octave are painted at once. */
export const NEAR = 1.42;
/** Of the slider, in octaves; its end, and the smallest side of a first octave. */
export const STEP = 0.25;
const BROADEST = 2;
const LEAST_SIDE = 160;

/** What the slider allows for a photo's longer side: octaves from auto (0). The lowest, if below 0, is native. */
export function range(longest: number): { min: number; max: number } {
  const finer = Math.log2(longest / NEAR / AUTO_LENGTH);
  const broader = Math.min(BROADEST, Math.log2(base(longest) / LEAST_SIDE));
  return { min: finer < 0 ? 0 : -STEP * (Math.floor(finer / STEP) + 1), max: Math.max(0, STEP * Math.floor(broader / STEP)) };
}

/** Where the slider's place begins, in pixels; Infinity: the photo is painted at its own size alone. */
export function firstSide(longest: number, octaves: number): number {
  if (octaves === 0) return AUTO_LENGTH;
  const side = Math.round(base(longest) / 2 ** octaves);
  return longest / side < NEAR ? Infinity : side;
}

/** Auto, or what a smaller photo would have to exceed: so that every step to a broader brush is seen. */
function base(longest: number): number {
  return Math.min(AUTO_LENGTH, longest / NEAR);
}

/** Fine grain under each octave: a network that is shown nothing paints lines along its own pixel grid. */

const DEVIATION = 12;
const SIDE = 512;
const GRAIN_SIZE = 2;

const noise = tile();

/** Levels to add at a place of the picture; the same whatever tile asks. */
export function grainAt(x: number, y: number): number {
  return noise[((y >> 1) % SIDE) * SIDE + ((x >> 1) % SIDE)]!;
}

/** Normal numbers from a fixed seed (Box and Muller), each GRAIN_SIZE pixels wide. */
function tile(): Float32Array {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 1) / 2 ** 32;
  };
  // A block of equal pixels varies more than the smooth grain of the Python runtime.
  const deviation = DEVIATION / Math.sqrt(GRAIN_SIZE);
  return Float32Array.from({ length: SIDE * SIDE }, () => {
    return deviation * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  });
}

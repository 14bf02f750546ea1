/** Keeps the shown painting up to date: coarse while something is dragged, finer once it rests, then the strip. */

import type { Engine } from "./engine/client";
import type { Painted } from "./engine/protocol";
import type { Styles } from "./styles";

/** Longer sides: of the strip's pictures, of a painting under a moving slider, of one at rest. */
const THUMB = 240;
const QUICK = [320, 480, 640, 960] as const;
const FINE = 960;
const NEAR = 1.42;
const REST = 220;
/** Milliseconds within which a moving slider is to be answered. */
const QUICK_ENOUGH = 120;

export interface Shown {
  painting(painted: Painted, side: number): void;
  thumb(key: string, painted: Painted): void;
  busy(busy: boolean): void;
  failed(error: unknown): void;
}

export class Painting {
  key = "";
  strength = 1;
  longest = 0;
  private pace = 1;
  private asked = 0;
  private running = false;
  private timer = 0;
  private round = 0;

  constructor(private readonly engine: Engine, private readonly styles: Styles, private readonly shown: Shown) {}

  /** Something moved: paint coarsely at once, and finely when it rests. */
  update(): void {
    this.asked++;
    clearTimeout(this.timer);
    if (!this.running) void this.run();
  }

  /** Paint every style's small picture, again where the photo is another one. */
  async fillStrip(): Promise<void> {
    const round = ++this.round;
    for (const key of [...this.styles.listed.keys()]) {
      await this.quiet();
      if (round !== this.round) return;
      try {
        await this.styles.open(key);
        this.shown.thumb(key, await this.engine.ask("paint", { key, strength: 1, side: THUMB }));
      } catch (error) {
        this.shown.failed(error);
      }
    }
  }

  /** The longer side at which strokes have the size that the network was trained for. */
  async fineSide(): Promise<number> {
    const card = await this.styles.open(this.key);
    const first = 3 * Math.max(card.train_size, 256);
    return this.longest < NEAR * first ? this.longest : first || FINE;
  }

  private async run(): Promise<void> {
    this.running = true;
    this.shown.busy(true);
    try {
      for (let seen = -1; seen !== this.asked; ) {
        seen = this.asked;
        await this.paint(QUICK[this.pace]!, seen, true);
      }
      this.timer = window.setTimeout(() => void this.rest(this.asked), REST);
    } catch (error) {
      this.shown.failed(error);
    }
    this.running = false;
    this.shown.busy(false);
  }

  private async rest(seen: number): Promise<void> {
    this.shown.busy(true);
    try {
      await this.paint(await this.fineSide(), seen, false);
    } catch (error) {
      this.shown.failed(error);
    }
    this.shown.busy(false);
  }

  private async paint(side: number, seen: number, quick: boolean): Promise<void> {
    const { key, strength } = this;
    await this.styles.open(key);
    const painted = await this.engine.ask("paint", { key, strength, side });
    if (quick) this.learn(painted.ms);
    if (seen === this.asked || quick) this.shown.painting(painted, side);
  }

  private learn(ms: number): void {
    if (ms > 1.6 * QUICK_ENOUGH) this.pace = Math.max(0, this.pace - 1);
    else if (ms < QUICK_ENOUGH / 2.5) this.pace = Math.min(QUICK.length - 1, this.pace + 1);
  }

  /** Wait until nothing that somebody looks at is being painted. */
  private async quiet(): Promise<void> {
    while (this.running) await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

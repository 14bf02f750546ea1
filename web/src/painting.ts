/** Keeps the shown painting up to date: coarse while something is dragged, finer once it rests, then the strip. */

import { NEAR, firstSide } from "./brush";
import type { Engine } from "./engine/client";
import type { Painted } from "./engine/protocol";
import type { Styles } from "./styles";

/** Longer sides: of the strip's pictures, of a painting under a moving slider, of one at rest. */
const THUMB = 240;
const QUICK = [320, 480, 640, 960] as const;
const [FINE, FINEST] = [960, 1400];
const REST = 220;
/** Milliseconds within which a moving slider is to be answered. */
const QUICK_ENOUGH = 120;
/** Milliseconds that a painting at rest may take: the next one has to wait for it. */
const PATIENCE = 8000;
/** A painting is replaced by one that is this many times as large at least. */
const MORE = 1.1;

export interface Shown {
  painting(painted: Painted): void;
  thumb(key: string, painted: Painted): void;
  busy(busy: boolean): void;
  failed(error: unknown): void;
}

export class Painting {
  key = "";
  strength = 1;
  /** In octaves from auto. */
  brush = 0;
  longest = 0;
  /** Whether it is a film's picture: films are painted at once. */
  moving = false;
  private pace = 0;
  /** Milliseconds a pixel, as last seen. */
  private cost = 0;
  private asked = 0;
  private running = false;
  private paused = false;
  private timer = 0;
  private round = 0;

  constructor(private readonly engine: Engine, private readonly styles: Styles, private readonly shown: Shown) {}

  /** Something moved: paint coarsely at once, and finely when it rests. */
  update(): void {
    this.paused = false;
    this.asked++;
    clearTimeout(this.timer);
    if (!this.running) void this.run();
  }

  /** Show nothing more of the photo until something asks for it: a camera is painted in its place. */
  pause(): void {
    this.paused = true;
    this.asked++;
    clearTimeout(this.timer);
  }

  /** Paint every style's small picture, again where the photo is another one. */
  async fillStrip(): Promise<void> {
    const round = ++this.round;
    for (const key of [...this.styles.listed.keys()]) {
      await this.quiet();
      if (round !== this.round) return;
      try {
        await this.styles.open(key);
        const request = { look: this.styles.look(key, 1), side: THUMB, first: Infinity };
        this.shown.thumb(key, await this.engine.ask("paint", request));
      } catch (error) {
        this.shown.failed(error);
      }
    }
  }

  /** The longer side of the first octave of the whole photo. */
  get first(): number {
    return this.moving ? Infinity : firstSide(this.longest, this.brush);
  }

  private async run(): Promise<void> {
    this.running = true;
    this.shown.busy(true);
    let quick = 0;
    try {
      for (let seen = -1; seen !== this.asked && !this.paused; ) {
        seen = this.asked;
        quick = Math.min(QUICK[this.pace]!, this.first);
        await this.paint(quick, seen, true);
      }
      if (!this.paused) this.timer = window.setTimeout(() => void this.rest(this.asked, quick), REST);
    } catch (error) {
      this.shown.failed(error);
    }
    this.running = false;
    this.shown.busy(false);
  }

  private async rest(seen: number, quick: number): Promise<void> {
    this.shown.busy(true);
    try {
      for (let side = quick; seen === this.asked; ) {
        // The first painting of all is slow; the next one tells better what a finer one costs.
        const fine = this.fineSide(this.first);
        const next = Math.min(fine, Math.sqrt(PATIENCE / this.cost));
        if (next <= side || (next < fine && next < MORE * side)) break;
        await this.paint(next, seen, false);
        side = next;
      }
    } catch (error) {
      this.shown.failed(error);
    }
    this.shown.busy(false);
  }

  /** The longer side of what is looked at: strokes are to be as large in it as in the whole photo. */
  private fineSide(first: number): number {
    const side = this.longest < NEAR * first ? this.longest : first < FINE / NEAR ? FINE : first;
    return Math.min(side, this.longest, FINEST);
  }

  private async paint(side: number, seen: number, quick: boolean): Promise<void> {
    const { key, strength, first } = this;
    await this.styles.open(key);
    const painted = await this.engine.ask("paint", { look: this.styles.look(key, strength), side, first });
    if (quick) this.learn(painted.ms);
    this.cost = painted.ms / (painted.width * painted.height);
    if (!this.paused && (seen === this.asked || quick)) this.shown.painting(painted);
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

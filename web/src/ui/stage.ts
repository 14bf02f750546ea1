/** The picture before and after, with the line between them that a pointer or the arrow keys move. */

import type { Painted } from "../engine/protocol";
import { element } from "./elements";

const STEP = 2;
const EDGE = 12;
/** The photo is shown no larger than this: a screen has no more pixels. */
const MOST_SHOWN = 2000;

export class Stage {
  private readonly frame = element("frame");
  private readonly before = element<HTMLCanvasElement>("before");
  readonly after = element<HTMLCanvasElement>("after");
  private readonly handle = element("handle");
  /** The photo, while a camera's frames stand in its place. */
  private kept: HTMLCanvasElement | undefined;

  constructor() {
    this.frame.addEventListener("pointerdown", (event) => {
      this.frame.setPointerCapture(event.pointerId);
      this.follow(event);
    });
    this.frame.addEventListener("pointermove", (event) => {
      if (this.frame.hasPointerCapture(event.pointerId)) this.follow(event);
    });
    this.handle.addEventListener("keydown", (event) => this.press(event));
    this.wipe(50);
  }

  showPhoto(photo: CanvasImageSource, width: number, height: number): void {
    const share = Math.min(1, MOST_SHOWN / Math.max(width, height));
    this.frame.style.setProperty("--ratio", String(width / height));
    const size = [Math.round(width * share), Math.round(height * share)] as const;
    if (this.before.width !== size[0] || this.before.height !== size[1]) [this.before.width, this.before.height] = size;
    const context = this.before.getContext("2d")!;
    context.clearRect(0, 0, ...size);
    context.drawImage(photo, 0, 0, ...size);
  }

  /** Keep the photo while other pictures are shown; `restore` brings it back. */
  keep(): void {
    this.kept = this.before.cloneNode() as HTMLCanvasElement;
    this.kept.getContext("2d")!.drawImage(this.before, 0, 0);
  }

  restore(): void {
    if (this.kept) this.showPhoto(this.kept, this.kept.width, this.kept.height);
    this.kept = undefined;
  }

  showPainting(painted: Painted): void {
    if (this.after.width !== painted.width || this.after.height !== painted.height) {
      [this.after.width, this.after.height] = [painted.width, painted.height];
    }
    const context = this.after.getContext("2d")!;
    context.putImageData(new ImageData(painted.rgba, painted.width, painted.height), 0, 0);
    // As transparent as the photo.
    context.globalCompositeOperation = "destination-in";
    context.drawImage(this.before, 0, 0, painted.width, painted.height);
    context.globalCompositeOperation = "source-over";
  }

  set busy(busy: boolean) {
    element("busy").hidden = !busy;
    this.frame.setAttribute("aria-busy", String(busy));
  }

  private follow(event: PointerEvent): void {
    const box = this.frame.getBoundingClientRect();
    this.wipe((100 * (event.clientX - box.left)) / box.width);
  }

  private press(event: KeyboardEvent): void {
    const now = Number(this.handle.getAttribute("aria-valuenow"));
    const keys: Record<string, number> = {
      ArrowLeft: now - STEP, ArrowDown: now - STEP, ArrowRight: now + STEP, ArrowUp: now + STEP,
      PageDown: now - 5 * STEP, PageUp: now + 5 * STEP, Home: 0, End: 100,
    };
    if (!(event.key in keys)) return;
    event.preventDefault();
    this.wipe(keys[event.key]!);
  }

  private wipe(percent: number): void {
    const at = Math.min(100, Math.max(0, percent));
    this.frame.style.setProperty("--wipe", `${at}%`);
    this.frame.dataset["edge"] = at < EDGE ? "left" : at > 100 - EDGE ? "right" : "";
    this.handle.setAttribute("aria-valuenow", String(Math.round(at)));
  }
}

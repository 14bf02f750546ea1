/** The strip of styles: a group of radio buttons, each showing the photo in its style. */

import type { Painted } from "../engine/protocol";
import { element } from "./elements";

const SIDE = 216;

export class Strip {
  private readonly strip = element("strip");
  private readonly buttons = new Map<string, HTMLButtonElement>();

  constructor(private readonly chosen: (key: string) => void) {
    this.strip.addEventListener("keydown", (event) => this.press(event));
  }

  add(key: string, title: string, first = false): void {
    if (this.buttons.has(key)) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "style";
    button.setAttribute("role", "radio");
    button.setAttribute("aria-checked", "false");
    button.tabIndex = -1;
    const picture = document.createElement("canvas");
    picture.width = picture.height = SIDE;
    picture.setAttribute("aria-hidden", "true");
    const name = document.createElement("span");
    name.textContent = title;
    button.append(picture, name);
    button.addEventListener("click", () => this.chosen(key));
    this.buttons.set(key, button);
    if (first) this.strip.prepend(button);
    else this.strip.append(button);
  }

  /** Mark the style that is painted. */
  check(key: string): void {
    for (const [name, button] of this.buttons) {
      button.setAttribute("aria-checked", String(name === key));
      button.tabIndex = name === key ? 0 : -1;
    }
    this.buttons.get(key)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** The middle square of a painting. */
  show(key: string, painted: Painted): void {
    const context = this.buttons.get(key)?.querySelector("canvas")?.getContext("2d");
    if (!context) return;
    const whole = new OffscreenCanvas(painted.width, painted.height);
    whole.getContext("2d")!.putImageData(new ImageData(painted.rgba, painted.width, painted.height), 0, 0);
    const side = Math.min(painted.width, painted.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(whole, (painted.width - side) / 2, (painted.height - side) / 2, side, side, 0, 0, SIDE, SIDE);
  }

  private press(event: KeyboardEvent): void {
    const steps: Record<string, number> = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const all = [...this.strip.querySelectorAll<HTMLButtonElement>(".style")];
    const next = all[(all.indexOf(document.activeElement as HTMLButtonElement) + step + all.length) % all.length];
    next?.focus();
    next?.click();
  }
}

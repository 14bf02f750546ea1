/** The two sliders: how strongly is painted, and with how broad a brush. */

import { firstSide, range } from "../brush";
import type { Card } from "../onnx/forms";
import { element } from "./elements";

/** Share of the slider below which two words under it would touch. */
const CLOSE = 0.15;

export class Sliders {
  private readonly ofStrength = element<HTMLInputElement>("strength");
  private readonly ofBrush = element<HTMLInputElement>("brush");
  private card: Card | undefined;
  private longest = 0;

  constructor(moved: () => void) {
    for (const slider of [this.ofStrength, this.ofBrush]) {
      slider.addEventListener("input", () => {
        this.tell();
        moved();
      });
    }
  }

  get strength(): number {
    return Number(this.ofStrength.value);
  }

  /** In octaves from auto. */
  get brush(): number {
    return Number(this.ofBrush.value);
  }

  /** Allow what a style can do with a photo of this longer side; 0: with moving pictures, whose brush is always auto. */
  fit(card: Card, longest: number): void {
    [this.card, this.longest] = [card, longest];
    this.ofStrength.max = String(card.strongest);
    element("ends").hidden = card.strongest !== 1.5;
    const { min, max } = longest ? range(longest) : { min: 0, max: 0 };
    [this.ofBrush.min, this.ofBrush.max] = [String(min), String(max)];
    this.tell();
    element("brushing").hidden = min === max;
    const place = min === max ? 0 : -min / (max - min);
    element("auto").style.setProperty("--at", String(place));
    element("auto").hidden = place === 0;
    // The left end is auto itself where nothing is finer, and gives way to it where there is no room for both.
    element("fine").textContent = place === 0 ? "auto" : "fine";
    element("fine").hidden = place > 0 && place < CLOSE;
  }

  private tell(): void {
    const strength = `${Math.round(100 * this.strength)} %`;
    element("amount").textContent = strength;
    this.ofStrength.setAttribute("aria-valuetext", strength);
    if (!this.card) return;
    const first = firstSide(this.longest, this.brush);
    const brush = this.brush === 0 ? "auto" : first === Infinity ? "native" : `${first} px`;
    element("breadth").textContent = brush;
    this.ofBrush.setAttribute("aria-valuetext", brush);
  }
}

/** The styles that the page knows: those that came with it, and those that were dropped on it. */

import type { Engine } from "./engine/client";
import type { Card } from "./onnx/forms";

export interface Listed {
  name: string;
  title: string;
  painting: string;
  license: string;
  file?: string;
}

export class Styles {
  readonly listed = new Map<string, Listed>();
  private readonly opened = new Map<string, Promise<Card>>();

  constructor(private readonly engine: Engine, private readonly root: string) {}

  /** Read the list that lies beside the page. */
  async load(): Promise<Listed[]> {
    const response = await fetch(`${this.root}styles/styles.json`);
    if (!response.ok) throw new Error("The list of styles is missing; write the page again with `onestroke page -o`.");
    const found = (await response.json()) as Listed[];
    for (const one of found) this.listed.set(one.name, one);
    return found;
  }

  /** Open a style in the worker, once. Rejects with a readable line. */
  open(key: string): Promise<Card> {
    let card = this.opened.get(key);
    if (!card) {
      card = this.fetch(key);
      this.opened.set(key, card);
      card.catch(() => this.opened.delete(key));
    }
    return card;
  }

  /** Take in an .onnx file; returns its key. Rejects with a readable line. */
  async add(file: File): Promise<string> {
    const key = `own:${file.name}`;
    const card = await this.engine.ask("style", { key, file: await file.arrayBuffer(), source: file.name });
    const title = titleOf(file.name.replace(/\.onnx$/i, ""));
    this.listed.set(key, { name: key, title, painting: card.painting, license: card.license });
    this.opened.set(key, Promise.resolve(card));
    return key;
  }

  private async fetch(key: string): Promise<Card> {
    const one = this.listed.get(key)!;
    const response = await fetch(`${this.root}styles/${one.file}`);
    if (!response.ok) throw new Error(`${one.title} could not be loaded.`);
    return this.engine.ask("style", { key, file: await response.arrayBuffer(), source: one.file! });
  }
}

/** "great_wave" as people write it. */
export function titleOf(name: string): string {
  const words = name.replaceAll("_", " ");
  const numbered = words.replace(/\b[ivx]+$/, (number) => number.toUpperCase());
  return numbered.charAt(0).toUpperCase() + numbered.slice(1);
}

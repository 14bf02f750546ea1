/** The styles that the page knows: those that came with it, and those that were dropped on it. */

import type { Engine } from "./engine/client";
import type { Look } from "./engine/protocol";
import type { Card } from "./onnx/forms";

export interface Listed {
  name: string;
  title: string;
  painting: string;
  license: string;
  /** The file of its model, and which of the model's styles it is. */
  file: string;
  style: number;
}

const OWN = "own:";

export class Styles {
  readonly listed = new Map<string, Listed>();
  /** Models by their files; those that were dropped here begin with OWN. */
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

  /** Open the model of a style in the worker, once. Rejects with a readable line. */
  open(key: string): Promise<Card> {
    const { file, title } = this.listed.get(key)!;
    let card = this.opened.get(file);
    if (!card) {
      card = this.fetch(file, title);
      this.opened.set(file, card);
      card.catch(() => this.opened.delete(file));
    }
    return card;
  }

  /** What the engine is told of a style. */
  look(key: string, strength: number): Look {
    const { file, style } = this.listed.get(key)!;
    return { model: file, style, strength };
  }

  /** Take in an .onnx file; returns its styles. Rejects with a readable line. */
  async add(file: File): Promise<Listed[]> {
    const model = OWN + file.name;
    const card = await this.engine.ask("model", { key: model, file: await file.arrayBuffer(), source: file.name });
    this.opened.set(model, Promise.resolve(card));
    const own = file.name.replace(/\.onnx$/i, "");
    const several = card.styles.length > 0;
    const added = (several ? card.styles : [own]).map((one, style) => ({
      name: several ? `${model}:${one}` : model,
      title: titleOf(one),
      painting: card.painting,
      license: card.license,
      file: model,
      style,
    }));
    for (const one of added) this.listed.set(one.name, one);
    return added;
  }

  private async fetch(file: string, title: string): Promise<Card> {
    const response = await fetch(`${this.root}styles/${encodeURIComponent(file)}`);
    if (!response.ok) throw new Error(`${title} could not be loaded.`);
    return this.engine.ask("model", { key: file, file: await response.arrayBuffer(), source: file });
  }
}

/** A style's key as a part of a file's name. */
export function fileName(key: string): string {
  return key.replace(OWN, "").replace(".onnx", "").replace(/[^\p{L}\p{N}_.-]+/gu, "-");
}

/** "great_wave" as people write it. */
export function titleOf(name: string): string {
  const words = name.replaceAll("_", " ");
  const numbered = words.replace(/\b[ivx]+$/, (number) => number.toUpperCase());
  return numbered.charAt(0).toUpperCase() + numbered.slice(1);
}

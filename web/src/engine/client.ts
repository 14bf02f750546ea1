/** The page's side of the worker: each request a promise. */

import { held } from "./held";
import type { Answer, Kind, Requests } from "./protocol";

interface Waiting {
  resolve: (reply: never) => void;
  reject: (error: Error) => void;
  progress?: (share: number) => void;
}

export class Engine {
  private readonly worker = held(new Worker(new URL("./worker.ts", import.meta.url), { type: "module" }));
  private readonly waiting = new Map<number, Waiting>();
  private count = 0;

  constructor() {
    this.worker.onmessage = (event: MessageEvent<Answer>) => this.receive(event.data);
    this.worker.onerror = (event) => this.fail(event.message || "The painter could not be started in this browser.");
  }

  /** Ask the worker for something; `transfer` is given away. Rejects with one readable line. */
  ask<K extends Kind>(
    kind: K,
    request: Requests[K]["request"],
    transfer: Transferable[] = [],
    progress?: (share: number) => void,
  ): Promise<Requests[K]["reply"]> {
    const id = this.count++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, ...(progress && { progress }) });
      this.worker.postMessage({ id, kind, request }, transfer);
    });
  }

  /** End a full painting that is under way; it then resolves to null. */
  stop(): void {
    this.worker.postMessage("stop");
  }

  private receive(answer: Answer): void {
    const waiting = this.waiting.get(answer.id);
    if ("progress" in answer) {
      waiting?.progress?.(answer.progress);
      return;
    }
    this.waiting.delete(answer.id);
    if ("error" in answer) waiting?.reject(new Error(answer.error));
    else waiting?.resolve(answer.reply as never);
  }

  private fail(line: string): void {
    for (const one of this.waiting.values()) one.reject(new Error(line));
    this.waiting.clear();
  }
}

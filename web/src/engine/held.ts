/** Workers that are told nothing before they have spoken: Firefox (153) loses some of what is said to a module that has not begun yet. */

/** What such a worker says first. */
export const HELLO = "hello";

/** Keep back what is said to `worker` until its hello, which nobody else gets to see. */
export function held(worker: Worker): Worker {
  const send = worker.postMessage.bind(worker) as (...message: unknown[]) => void;
  const early: unknown[][] = [];
  worker.postMessage = (...message: unknown[]) => void early.push(message);
  worker.addEventListener("message", (event) => {
    if (event.data !== HELLO) return;
    event.stopImmediatePropagation();
    worker.postMessage = send;
    for (const message of early.splice(0)) send(...message);
  });
  return worker;
}

/** The same for all workers that are made from here on, which say hello too: ONNX Runtime's threads (vite.config.ts). */
export function holdAll(): void {
  self.Worker = class extends Worker {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(url, options);
      held(this);
    }
  };
}

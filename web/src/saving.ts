/** Saving: the whole picture or film, with progress and a way to stop. */

import type { Engine } from "./engine/client";
import type { Look } from "./engine/protocol";
import { download, element, lineOf, say } from "./ui/elements";

const QUALITY = 0.95;

/** Show progress while `work` runs; it is told how to report. Errors become the page's message. */
export async function withProgress(doing: string, stop: () => void, work: (report: (share: number) => void) => Promise<void>): Promise<void> {
  const [panel, bar, button] = [element("progress"), element<HTMLProgressElement>("bar"), element("stop")];
  element("doing").textContent = doing;
  bar.value = 0;
  panel.hidden = false;
  button.addEventListener("click", stop);
  document.body.classList.add("saving");
  for (const one of saveButtons()) one.disabled = true;
  try {
    await work((share) => (bar.value = share));
  } catch (error) {
    say(lineOf(error));
  } finally {
    panel.hidden = true;
    button.removeEventListener("click", stop);
    for (const one of saveButtons()) one.disabled = false;
  }
}

/** Paint the photo at its own size, its first octave at the side `first`, and download it. */
export async function savePicture(engine: Engine, look: Look, first: number, name: string, type: string): Promise<void> {
  await withProgress("Painting at full size", () => engine.stop(), async (report) => {
    const blob = await engine.ask("full", { look, first, type, quality: QUALITY }, [], report);
    if (blob) download(blob, `${name}.${type === "image/png" ? "png" : "jpg"}`);
  });
}

function saveButtons(): HTMLButtonElement[] {
  return [element<HTMLButtonElement>("png"), element<HTMLButtonElement>("jpeg")];
}

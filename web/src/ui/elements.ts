/** The page's own elements, by id. */

export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page lacks #${id}`);
  return found as T;
}

/** Show one readable line where everybody sees and hears it; nothing hides it. */
export function say(line: string): void {
  const message = element("message");
  message.textContent = line;
  message.hidden = !line;
}

/** What an error says. */
export function lineOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Hand a file to the browser's downloads. */
export function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

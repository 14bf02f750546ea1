/** How files come in: chosen, dropped anywhere, or pasted. */

import { element } from "./elements";

/** Calls `take` with each file. */
export function takeFiles(take: (file: File) => void): void {
  const input = element<HTMLInputElement>("file");
  element("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    for (const file of input.files ?? []) take(file);
    input.value = "";
  });
  document.addEventListener("paste", (event) => {
    for (const file of event.clipboardData?.files ?? []) take(file);
  });
  const over = (on: boolean) => document.body.classList.toggle("over", on);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    over(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) over(false);
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    for (const file of event.dataTransfer?.files ?? []) take(file);
  });
}

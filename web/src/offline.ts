/** The service worker, which keeps the page for a time without network. */

/** Let it keep what this visit has loaded, `files` of the worker among it. Quietly does nothing where the browser has none. */
export async function keepForOffline(files: string[]): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  try {
    await navigator.serviceWorker.register("./sw.js");
    const ready = await navigator.serviceWorker.ready;
    const loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
    // The worker's own requests are not in the page's list.
    const own = ["./", "./manifest.webmanifest", "./icon.svg"].map((path) => new URL(path, location.href).href);
    ready.active?.postMessage([...own, ...files, ...loaded]);
  } catch {
    // A page without it works as well, as long as there is a network.
  }
}

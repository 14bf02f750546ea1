// Keeps the page and its styles for a time without network, and isolates the page where its host does not: threads need that.

// Of the page alone: the same host may answer other requests.
const ROOT = new URL("./", self.location).href;
const OWN = /^((index\.html|icon\.svg|manifest\.webmanifest|(assets|ort|styles)\/.+)?)(\?.*)?$/;

const KEPT = "onestroke-611956c26041";

self.addEventListener("install", () => self.skipWaiting());

// Open pages are not claimed: Firefox would wait for the runtime's threads, which sleep, and answer none of the page's requests.
self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) {
        if (name.startsWith("onestroke-") && name !== KEPT) await caches.delete(name);
      }
    })(),
  );
});

// What the page had loaded before this worker was there.
self.addEventListener("message", (event) => {
  const own = event.data.filter(isOwn);
  event.waitUntil(
    caches.open(KEPT).then((cache) => Promise.allSettled(own.map(async (url) => (await cache.match(url)) ?? cache.add(url)))),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && isOwn(request.url)) event.respondWith(answer(request));
});

function isOwn(url) {
  return url.startsWith(ROOT) && OWN.test(url.slice(ROOT.length));
}

async function answer(request) {
  const cache = await caches.open(KEPT);
  // The names of built files change with what they hold; all others are asked for anew.
  const fixed = /\/assets\//.test(request.url) ? await cache.match(request) : undefined;
  if (fixed) return isolated(fixed);
  try {
    const response = await fetch(request);
    if (response.ok && response.status === 200) await cache.put(request, response.clone());
    return isolated(response);
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: request.mode === "navigate" });
    if (kept) return isolated(kept);
    throw error;
  }
}

function isolated(response) {
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

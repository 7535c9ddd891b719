// Answers for the server once the page was open: then it needs no network. It also says of each file what a browser
// asks for before it lends a page several threads, for hosts where one cannot choose the headers.

importScripts("files.js");

const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};
const { version, shell } = self.files;
const OURS = "open-dalle2 ";

self.addEventListener("install", event => {
  self.skipWaiting();
  const list = new Request("files.js", { cache: "no-cache" }); // it has the hashes of the others
  const own = Object.entries(shell).map(([name, integrity]) => new Request(name, { cache: "no-cache", integrity }));
  event.waitUntil(caches.open(version).then(kept => kept.addAll([list, ...own])));
});

self.addEventListener("activate", event => {
  const old = caches.keys().then(names => names.filter(name => name.startsWith(OURS) && name !== version));
  event.waitUntil(old.then(names => Promise.all(names.map(name => caches.delete(name)))).then(() => self.clients.claim()));
});

self.addEventListener("fetch", event => {
  const { request } = event, own = new URL(request.url).origin === location.origin;
  if (own && request.method === "GET") event.respondWith(answer(request));
});

async function answer(request) {
  const kept = await caches.open(version);
  const page = request.mode === "navigate" ? "index.html" : request;
  const known = await kept.match(page, { ignoreSearch: true }) ?? await fetch(request);
  const headers = new Headers(known.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  return new Response(known.body, { status: known.status, statusText: known.statusText, headers });
}

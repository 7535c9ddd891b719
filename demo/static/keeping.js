// Files of the exported folder, fetched once and kept in this browser. `self.files` (files.js) says which there are.

// The large files lie in the cache that offline.js answers from, of this version of the folder.
export class Missing extends Error {
  constructor(file, why) {
    super(`${file}: ${why}`);
    Object.assign(this, { file, why });
  }
}

// A file's content; `told(bytes)` hears of each part that came. Missing where it cannot be had, or is another one.
export async function read(name, told) {
  const kept = await self.caches?.open(self.files.version).catch(() => null); // none in private windows of some browsers
  const known = await kept?.match(name);
  const answer = known ?? await fetch(name).catch(() => { throw new Missing(name, "unreachable"); });
  if (!answer.ok) throw new Missing(name, "absent");
  const parts = [], reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch(() => { throw new Missing(name, "unreachable"); });
    if (done) break;
    parts.push(value);
    told(value.length);
  }
  const content = await new Blob(parts).arrayBuffer();
  if (!await same(content, self.files.model[name])) {
    await kept?.delete(name);
    throw new Missing(name, "changed");
  }
  if (!known) await kept?.put(name, new Response(content)).catch(() => {}); // the disk is full: it is fetched again next time
  return content;
}

// Whether it is the content that was exported: by its hash, or by its size alone at an address without HTTPS, where
// browsers lend no hashes.
async function same(content, { bytes, integrity }) {
  if (content.byteLength !== bytes) return false;
  if (!self.crypto.subtle) return true;
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return integrity === `sha256-${btoa(String.fromCharCode(...hash))}`;
}

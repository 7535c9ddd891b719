() => {
  // What is drawn is kept in this browser, in its database: the pictures themselves, what they came from and were asked with, and a star.
  const KEPT = 300; // entries without a star; older ones go
  // What records called some tasks before.
  const FORMER = {
    interpolation: "interpolate", inpainting: "inpaint", outpainting: "outpaint", enhancement: "enhance",
    reconstruction: "reconstruct",
  };
  const open = new Promise((resolve, reject) => {
    const asked = indexedDB.open("open-dalle2", 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore("drawn", { keyPath: "id", autoIncrement: true });
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
  open.catch(() => {}); // a browser may forbid it: then nothing is kept

  async function store(mode, use) {
    const transaction = (await open).transaction("drawn", mode), asked = use(transaction.objectStore("drawn"));
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(asked?.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  }

  const tell = () => window.dispatchEvent(new Event("kept"));
  const blob = async file => file?.url ? (await fetch(file.url)).blob() : null;

  // What a source picture shows: the prompt in its PNG's record, or the name of a visitor's own file.
  async function named(source, file) {
    if (!source) return "";
    const head = await source.slice(0, 65536).arrayBuffer(), text = new TextDecoder("latin1").decode(head);
    const key = "parameters\0", start = text.indexOf(`tEXt${key}`) + 4;
    if (start < 8) return (file.orig_name || "").replace(/\.\w+$/, "");
    const length = new DataView(head).getUint32(start - 8);  // of the chunk's data, which begin with the key
    try {
      const { prompt, new: become } = JSON.parse(text.slice(start + key.length, start + length));
      return prompt || become || "";
    } catch {
      return "";
    }
  }

  async function all() {
    const entries = await store("readonly", drawn => drawn.getAll());
    for (const { record } of entries.flatMap(entry => entry.frames)) record.task = FORMER[record.task] ?? record.task;
    return entries.sort((one, other) => other.time - one.time || one.id - other.id);
  }

  async function put(entries) {
    await store("readwrite", drawn => { for (const entry of entries) drawn.put(entry); });
    const old = (await all()).filter(entry => !entry.starred).slice(KEPT);
    if (old.length) await store("readwrite", drawn => { for (const { id } of old) drawn.delete(id); });
    tell();
  }

  async function remove(id) {
    await store("readwrite", drawn => drawn.delete(id));
    tell();
  }

  async function clear() {
    await store("readwrite", drawn => drawn.clear());
    tell();
  }

  // Pictures are handed over by their files on the server, or, out of the history, as blobs that go there again.
  async function handed({ blob, name, ...picture }) {
    if (!blob) return picture;
    const file = await window.wire.upload(new File([blob], name || "picture.png", { type: "image/png" }));
    return { ...picture, image: window.wire.file({ ...file, orig_name: name }) };
  }

  // A film is one entry, all others are one a picture.
  window.addEventListener("drawn", async ({ detail }) => {
    const sources = await Promise.all(detail.sources.map(blob)), time = Date.now();
    const pictures = await Promise.all(detail.pictures.map(async ({ image, caption, record }) =>
      ({ blob: await blob(image), name: image.orig_name, caption, record })));
    const entries = detail.film ? [pictures] : pictures.map(picture => [picture]);
    const subject = (await Promise.all(sources.map((source, i) => named(source, detail.sources[i])))).filter(Boolean).join(" + ");
    await put(entries.map(frames => ({ time, starred: false, frames, sources, subject, given: detail.given })));
  });

  // What an earlier version kept: small pictures without their files.
  async function move() {
    const older = JSON.parse(localStorage.getItem("history") || "[]");
    if (!older.length) return;
    const entries = await Promise.all(older.map(async ({ thumbnail, caption, record }, index) => ({
      time: Date.now() - index, starred: false, sources: [], small: true,
      frames: [{ blob: await (await fetch(thumbnail)).blob(), caption, record }],
    })));
    await put(entries);
    localStorage.removeItem("history");
  }

  window.keeping = { all, put, remove, clear, handed };
  tell(); // a history that was opened before has found nothing yet
  move().catch(() => {});
}

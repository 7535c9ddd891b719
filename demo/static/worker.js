// Draws beside the page, which therefore never stands still. Hears {kind: "open"}, "draw" and "stop"; says what happens.

import "./files.js";
import { Drawer } from "./drawer.js";
import { Missing, read } from "./keeping.js";
import { png } from "./png.js";

const THREADS = 4; // more have little to share in networks of this size
const STOPPED = new Error("stopped");

const tell = (kind, more = {}) => postMessage({ kind, ...more });
const breath = () => new Promise(done => setTimeout(done)); // in which the page's words are heard
let drawer, stopped;

async function open() {
  let loaded = 0;
  const total = Object.values(self.files.model).reduce((sum, { bytes }) => sum + bytes, 0);
  const file = name => read(name, bytes => tell("loading", { loaded: loaded += bytes, total }));
  const runtime = await import("./ort/ort.wasm.min.mjs");
  const threads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, THREADS) : 1;
  runtime.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
  runtime.env.wasm.wasmBinary = await file("ort/ort-wasm-simd-threaded.wasm");
  runtime.env.wasm.numThreads = threads;
  drawer = await Drawer.open(runtime, file);
  tell("ready", { threads });
}

async function draw({ prompt, seed }) {
  const begun = performance.now();
  stopped = false;
  const pixels = await drawer.draw(prompt, seed, async (stage, number, of) => {
    tell("step", { stage, number, of });
    await breath();
    if (stopped) throw STOPPED;
  });
  const record = { task: "text_to_image", prompt, seed, ...drawer.about.record };
  tell("drawn", { picture: await png(pixels, record), prompt, seed, seconds: (performance.now() - begun) / 1000 });
}

// What went wrong, as the page words it: a file that is not there, memory that is not enough, or something else.
function reason(error) {
  if (error instanceof Missing) return { why: error.why, detail: error.file };
  const said = String(error?.message ?? error);
  const memory = error instanceof RangeError || /memory|bad_alloc|allocat|\bOOM\b/i.test(said);
  return { why: memory ? "memory" : "other", detail: said };
}

onmessage = async ({ data }) => {
  try {
    if (data.kind === "stop") stopped = true;
    else await (data.kind === "open" ? open() : draw(data));
  } catch (error) {
    if (error === STOPPED) tell("stopped");
    else tell("failed", { ...reason(error), opening: data.kind === "open" });
  }
};

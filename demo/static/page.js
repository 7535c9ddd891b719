// What a visitor sees and presses. The drawing itself is done in worker.js.

import { restyled, styleOf } from "./styles.js";
import { WORDS } from "./words.js";

const $ = id => document.getElementById(id);
const MOST_SEED = 2 ** 32 - 1;
const EARLIER = 16; // pictures that stay to be seen

let zh = navigator.language.startsWith("zh");
let words = WORDS[zh ? "zh" : "en"];
let about, worker, threads, kept = false, state = "opening", wanted = null, told = words => words.starting;
const earlier = [];

// ——— what is said

function say(sentence, refused = false) {
  told = sentence;
  $("status").textContent = sentence(words);
  $("status").classList.toggle("refused", refused);
}

function speak() {
  words = WORDS[zh ? "zh" : "en"];
  document.documentElement.lang = zh ? "zh" : "en";
  for (const element of document.querySelectorAll("[data-say]")) element.textContent = words[element.dataset.say];
  $("language").textContent = words.other;
  $("prompt").placeholder = words.placeholder;
  $("about").textContent = words.about(about?.subject?.[zh ? "zh" : "en"]);
  $("status").textContent = told(words);
  if (!about) return;
  $("names").replaceChildren(...about.names[zh ? "zh" : "en"].map(name => element("option", { value: name })));
  const [ours, others] = [true, false].map(want => about.examples.filter(prompt => /\p{Script=Han}/u.test(prompt) === (zh === want)));
  $("examples").replaceChildren($("examples").firstElementChild, ...[...ours, ...others].map(prompt =>
    element("button", { type: "button", className: "chip", textContent: prompt, onclick: () => ask(prompt) })));
  stages();
  show();
}

function element(kind, properties, ...children) {
  const made = Object.assign(document.createElement(kind), properties);
  made.append(...children);
  return made;
}

function facts() {
  $("facts").textContent = threads ? words.facts(threads, kept) : "";
}

// ——— pictures

// The picture that is shown, the record below it, and what may be clicked: the visitor's own, or the model's wall.
function show(picture = earlier.shown) {
  earlier.shown = picture;
  $("picture").hidden = !picture;
  if (picture) {
    Object.assign($("large"), { src: picture.url, alt: picture.prompt });
    $("caption").textContent = `${picture.prompt} — ${words.drawn(picture.seed, picture.seconds.toFixed(1))}`;
    Object.assign($("download"), { href: picture.url, download: `${picture.prompt.replace(/[\\/:*?"<>|\s]+/g, "-").slice(0, 60)}-${picture.seed}.png` });
  }
  const own = earlier.map(one => thumbnail(one.url, one.prompt, () => show(one)));
  const wall = about.wall.map(one => thumbnail(one.file, one.prompt, () => again(one)));
  $("wall").replaceChildren(...(own.length ? own : wall));
  $("wall").hidden = own.length === 1;
  $("under").textContent = own.length > 1 ? words.earlier : own.length || !wall.length ? "" : words.wall;
  facts();
}

function thumbnail(file, prompt, onclick) {
  const image = element("img", { src: file, alt: prompt, title: prompt, loading: "lazy" });
  return element("button", { type: "button", onclick }, image);
}

function again({ prompt, seed }) {
  $("fresh").checked = false;
  $("seed").value = seed;
  ask(prompt);
}

// ——— asking

function ask(prompt) {
  $("prompt").value = prompt;
  pressed();
  draw();
}

function pressed() {
  const style = styleOf($("prompt").value, about.styles);
  for (const button of $("styles").querySelectorAll("button")) button.setAttribute("aria-pressed", button.dataset.style === style);
}

function draw() {
  const prompt = $("prompt").value.trim();
  if (["drawing", "failed"].includes(state)) return;
  if (!prompt) return say(words => words.empty, true);
  if ($("fresh").checked) $("seed").value = crypto.getRandomValues(new Uint32Array(1))[0];
  if (!/^\d+$/.test($("seed").value) || Number($("seed").value) > MOST_SEED) return say(words => words.badSeed, true);
  wanted = { kind: "draw", prompt, seed: Number($("seed").value) };
  switchButtons(true);
  if (state === "ready") begin();
}

function begin() {
  state = "drawing";
  stages({});
  say(words => words.drawing);
  worker.postMessage(wanted);
  wanted = null;
}

// The worker hears of it after the step that it is at.
function stop() {
  if (state === "drawing") {
    state = "stopping";
    worker.postMessage({ kind: "stop" });
  } else if (!wanted) return;
  wanted = null;
  stages();
  switchButtons(false);
  say(words => words.stopped);
}

function switchButtons(busy) {
  const focused = [$("draw"), $("stop")].includes(document.activeElement);
  [$("draw").hidden, $("stop").hidden] = [busy, !busy];
  if (focused) $(busy ? "stop" : "draw").focus();
}

// A bar for each stage, while something is drawn; `done` has the share of each.
function stages(done = state === "drawing" ? stages.done : undefined) {
  stages.done = done;
  const bars = Object.entries(done ? words.stages : {}).map(([name, label]) =>
    element("label", {}, label, element("progress", { value: done[name] ?? 0 })));
  $("stages").replaceChildren(...bars);
}

// ——— the worker

const HEARD = {
  loading({ loaded, total }) {
    const [some, all] = [loaded, total].map(bytes => Math.round(bytes / 1e6));
    if (state === "opening") say(words => (loaded < total ? words.loading(some, all) : words.starting));
  },
  async ready(said) {
    threads = said.threads;
    say(words => words.hint);
    free();
    facts();
    await navigator.serviceWorker?.ready;
    const stored = await self.caches?.open(self.files.version).then(cache => cache.keys()).catch(() => []) ?? [];
    const listed = [self.files.shell, self.files.model].flatMap(Object.keys);
    kept = stored.length > listed.length; // and files.js itself
    facts();
  },
  stopped() {
    free();
  },
  step({ stage, number, of }) {
    stages({ ...stages.done, [stage]: number / of });
  },
  drawn({ picture, prompt, seed, seconds }) {
    if (state === "stopping") return free();
    earlier.unshift({ url: URL.createObjectURL(picture), prompt, seed, seconds });
    for (const old of earlier.splice(EARLIER)) URL.revokeObjectURL(old.url);
    finish();
    say(words => words.done);
    show(earlier[0]);
  },
  failed({ why, detail, opening }) {
    if (opening || why === "memory") return fail(why, detail);
    finish();
    say(words => words.why[why](detail), true);
  },
};

// The worker has nothing to do; what was asked for meanwhile begins.
function free() {
  state = "ready";
  if (wanted) begin();
}

function finish() {
  state = "ready";
  stages();
  switchButtons(false);
}

function open() {
  worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => HEARD[data.kind](data);
  worker.onerror = event => fail("other", event.message || "worker.js");
  worker.postMessage({ kind: "open" });
}

// Nothing can be drawn any more, and the page says why.
function fail(why, detail) {
  worker?.terminate();
  finish();
  state = "failed";
  $("draw").disabled = true;
  say(words => words.why[why](detail), true);
}

// A function that returns a vector: browsers without SIMD refuse it.
const SIMD = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11);

function able() {
  let modules = false;
  try {
    new Worker("files.js", { get type() { modules = true; return "module"; } }).terminate();
  } catch { /* it was refused after its kind was asked for */ }
  return modules && typeof WebAssembly === "object" && WebAssembly.validate(SIMD) && typeof CompressionStream === "function";
}

// ——— the beginning

async function start() {
  $("unserved").remove();
  document.querySelector("main").hidden = false;
  speak();
  try {
    await import("./files.js");
    about = await (await fetch("page.json")).json();
  } catch {
    return fail("unexported");
  }
  const buttons = about.styles.map(({ name, file }) => {
    const picture = file ? [element("img", { src: file, alt: "" })] : [];
    const button = element("button", { type: "button", onclick: () => {
      $("prompt").value = restyled($("prompt").value, name, about.styles);
      pressed();
    } }, ...picture, name);
    button.dataset.style = name;
    button.setAttribute("aria-pressed", false);
    return button;
  });
  $("styles").append(...buttons);
  $("styles").hidden = !buttons.length;
  $("seed").value = 0;
  speak();
  if (!able()) return fail("old");
  navigator.serviceWorker?.register("offline.js", { updateViaCache: "none" }).catch(() => {}); // then it needs the network
  open();
}

$("ask").addEventListener("submit", event => {
  event.preventDefault();
  draw();
});
$("ask").noValidate = true;
$("prompt").addEventListener("input", () => about && pressed());
$("stop").addEventListener("click", stop);
$("language").addEventListener("click", () => {
  zh = !zh;
  speak();
});
document.addEventListener("keydown", event => {
  if (event.key === "Escape") stop();
});
start();

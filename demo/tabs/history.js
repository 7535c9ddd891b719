// keeping.js keeps what is drawn; here it is shown, sought, starred, taken away, sent on and forgotten.
let kept = [], addresses = [], showing = 0;
const find = id => kept.find(entry => entry.id === Number(id));

async function read() {
  try { kept = await window.keeping.all(); } catch { kept = []; }
  show();
}

function show() {
  for (const address of addresses) URL.revokeObjectURL(address);
  addresses = [];
  const words = props.sought.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = kept.map(({ id, starred, small, frames, subject }) => {
    const { caption, record, name } = frames[Math.floor(frames.length / 2)];
    // "Variation 2" alone would not say of what.
    const title = record.prompt || [subject, record.new].filter(Boolean).join(" → ") || caption;
    return { id, starred, small, record, name, title, about: caption?.startsWith(title) ? "" : caption, count: frames.length };
  }).filter(({ starred, title, about, record }) => (starred || !props.only_starred)
    && words.every(word => `${title} ${about} ${record.task} ${record.seed}`.toLowerCase().includes(word)));
  for (const entry of shown) {
    const { frames } = find(entry.id);
    entry.url = URL.createObjectURL(frames[Math.floor(frames.length / 2)].blob);
    addresses.push(entry.url);
  }
  props.total = kept.length;
  showing = shown.length;
  props.entries = shown;
}

// Gradio may give a tab that comes up its first values again, after its entries were read.
watch("entries", () => { if (props.entries.length !== showing) show(); });

function enlarge({ frames }) {
  const picture = new Image(), caption = document.createElement("p"), parts = [picture, caption];
  const turn = index => {
    URL.revokeObjectURL(picture.src);
    picture.src = URL.createObjectURL(frames[index].blob);
    picture.alt = caption.textContent = frames[index].record.prompt || frames[index].caption;
  };
  if (frames.length > 1) {
    const slider = Object.assign(document.createElement("input"), { type: "range", min: 0, max: frames.length - 1, value: 0, className: "ours" });
    slider.style.setProperty("--fill", 0);
    slider.setAttribute("aria-label", navigator.language.startsWith("zh") ? "帧" : "Frame");
    slider.addEventListener("input", () => turn(Number(slider.value)));
    parts.push(slider);
  }
  turn(0);
  element.querySelector(".large").replaceChildren(...parts);
  element.querySelector("dialog").showModal();
}

// The pictures that it was made from go to the server again, which may have deleted them.
async function again({ frames, sources, given }) {
  const { record, caption } = frames[0];
  props.told = "";
  let files;
  try {
    files = await Promise.all(sources.map(async blob => blob &&
      window.wire.file(await window.wire.upload(new File([blob], "source.png", { type: blob.type })))));
  } catch (error) {
    props.told = window.refusalOf(error);
    return;
  }
  window.parcel = { way: `reuse-${record.task}`, record, caption, sources: files, given };
  trigger("send");
}

element.addEventListener("click", async event => {
  const dialog = element.querySelector("dialog");
  if (event.target === dialog) dialog.close();
  const button = event.target.closest("[data-do]");
  if (!button) return;
  const entry = find(button.dataset.id);
  switch (button.dataset.do) {
    case "open":
      return enlarge(entry);
    case "close":
      return dialog.close();
    case "stars":
      props.only_starred = !props.only_starred;
      return show();
    case "star":
      return window.keeping.put([{ ...entry, starred: !entry.starred }]);
    case "remove":
      props.removed = entry;
      return window.keeping.remove(entry.id);
    case "undo":
      await window.keeping.put([props.removed]);
      props.removed = null;
      return;
    case "clear": {
      const question = navigator.language.startsWith("zh") ? `清除全部 ${kept.length} 件作品？无法恢复。`
        : `Delete all ${kept.length} entries, including the starred ones? This cannot be undone.`;
      props.removed = null;
      return confirm(question) && window.keeping.clear();
    }
    case "report":  // the frame that is shown
      return window.dispatchEvent(new CustomEvent("report", { detail: entry.frames[Math.floor(entry.frames.length / 2)] }));
    case "send":
      return again(entry);
  }
});

element.addEventListener("input", event => {
  if (!event.target.matches("[type=search]")) return;
  props.sought = event.target.value;
  show();
});

element.addEventListener("change", event => {
  const { value, dataset } = event.target;
  if (!event.target.matches("select") || !value) return;
  event.target.value = "";
  window.dispatchEvent(new CustomEvent("take", { detail: { pictures: find(dataset.id).frames, form: value } }));
});

window.addEventListener("kept", read);
window.addEventListener("chosen", show); // what can be done with an entry is the chosen checkpoint's
read();

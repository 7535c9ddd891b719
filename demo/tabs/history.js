// keeping.js keeps what is drawn; here it is shown, sought, starred, taken away, sent on and forgotten.
let kept = [], addresses = [], showing = 0;
const find = id => kept.find(entry => entry.id === Number(id));
const middle = frames => frames[Math.floor(frames.length / 2)]; // the one of a film that is shown

async function read() {
  try { kept = await window.keeping.all(); } catch { kept = []; }
  show();
}

function show() {
  for (const address of addresses) URL.revokeObjectURL(address);
  addresses = [];
  const words = props.sought.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = kept.map(({ id, starred, small, frames, subject }) => {
    const { caption, record, name } = middle(frames);
    // "Variation 2" alone would not say of what.
    const title = record.prompt || [subject, record.new].filter(Boolean).join(" → ") || caption;
    return { id, starred, small, record, name, title, about: caption?.startsWith(title) ? "" : caption, count: frames.length };
  }).filter(({ starred, title, about, record }) => (starred || !props.only_starred)
    && words.every(word => `${title} ${about} ${record.task} ${record.seed}`.toLowerCase().includes(word)));
  for (const entry of shown) {
    entry.url = URL.createObjectURL(middle(find(entry.id).frames).blob);
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

// A picture, or those that it was made from, go to the server again, which may have deleted them.
async function send(parcel, picture, sources) {
  props.told = "";
  let files;
  try {
    files = await Promise.all([picture, ...sources].map(async blob => blob &&
      window.wire.file(await window.wire.upload(new File([blob], "source.png", { type: blob.type })))));
  } catch (error) {
    props.told = window.refusalOf(error);
    return;
  }
  const [image, ...others] = files;
  window.parcel = { ...parcel, image, sources: others };
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
      return window.dispatchEvent(new CustomEvent("report", { detail: middle(entry.frames) }));
    case "send": {
      const { record, caption } = entry.frames[0];
      return send({ way: `reuse-${record.task}`, record, caption, given: entry.given }, null, entry.sources);
    }
    case "use": {
      const { record, caption, blob } = middle(entry.frames);
      return send({ way: button.dataset.way, record, caption, given: {} }, blob, []);
    }
    case "take":
      return window.dispatchEvent(new CustomEvent("take", { detail: { pictures: entry.frames, form: button.dataset.form } }));
  }
});

element.addEventListener("input", event => {
  if (!event.target.matches("[type=search]")) return;
  props.sought = event.target.value;
  show();
});

window.addEventListener("kept", read);
window.addEventListener("chosen", show); // what can be done with an entry is the chosen checkpoint's
read();

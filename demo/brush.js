// The canvas holds the strokes in colour; the mask made of them goes to the server whenever one has ended.
const canvas = element.querySelector("canvas");
const strokes = canvas.getContext("2d", { willReadFrequently: true });
const COLOUR = "#137570", UNDONE = 20; // as many strokes can be undone
const read = name => Number(element.querySelector(`[name="${name}"]`).value);
const PAUSE = 300; // milliseconds between masks that are sent
let last = null, erases = false, made = 0, due = null, begun = 0, sending = null;
const before = []; // what the canvas held before each stroke

function keep() {
  before.push(strokes.getImageData(0, 0, canvas.width, canvas.height));
  if (before.length > UNDONE) before.shift();
  show();
}

function show() {
  element.querySelector('[data-do="undo"]').disabled = !before.length;
  for (const name of ["paint", "erase"])
    element.querySelector(`[data-do="${name}"]`).setAttribute("aria-pressed", erases === (name === "erase"));
}

function at(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width * canvas.width, (event.clientY - box.top) / box.height * canvas.height];
}

function ink() {
  const how = erases ? "destination-out" : "source-over";
  Object.assign(strokes, { globalCompositeOperation: how, strokeStyle: COLOUR, fillStyle: COLOUR, lineCap: "round", lineJoin: "round" });
}

function stroke(event) {
  const place = at(event);
  ink();
  strokes.lineWidth = read("size");
  strokes.beginPath();
  strokes.moveTo(...last);
  strokes.lineTo(...place);
  strokes.stroke();
  last = place;
}

const marked = () => strokes.getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean);

// The mask of before is not what is marked now, whether or not the new one arrives.
function hand_over() {
  made += 1;
  sending = null;
  if (props.value) props.value = null;
  clearTimeout(due);
  const mine = made, late = error => { if (mine === made) tell(error); };
  if (marked()) due = setTimeout(() => send().catch(late), Math.max(0, begun + PAUSE - Date.now()));
}

// Before it is drawn with, the mask is waited for, and sent again if it was refused.
window.mask_sent = async () => {
  if (!props.picture || props.value || !marked()) return;
  clearTimeout(due);
  await (sending ?? send()).catch(error => { throw tell(error); });
};

function send() {
  begun = Date.now();
  const mine = made, now = deliver(mine);
  sending = now;
  now.catch(() => { if (sending === now) sending = null; });
  return now;
}

const line = () => element.closest(".task").querySelector(".status");

function tell(error) {
  window.wire.refused = window.refusalOf(error);
  window.refuse(line(), window.wire.refused);
  return error;
}

async function deliver(mine) {
  const mask = new OffscreenCanvas(canvas.width, canvas.height);
  const black = mask.getContext("2d");
  black.drawImage(canvas, 0, 0);
  for (const [over, colour] of [["source-in", "white"], ["destination-over", "black"]]) {
    Object.assign(black, { globalCompositeOperation: over, fillStyle: colour });
    black.fillRect(0, 0, mask.width, mask.height);
  }
  const file = new File([await mask.convertToBlob()], "mask.png", { type: "image/png" });
  const sent = await window.wire.upload(file);
  // An earlier mask that arrives later does not count.
  if (mine !== made) return;
  props.value = window.wire.file({ ...sent, orig_name: "" });
  window.refuse(line(), "");
}

const tools = {
  paint() { erases = false; show(); },
  erase() { erases = true; show(); },
  undo() {
    strokes.putImageData(before.pop(), 0, 0);
    show();
    hand_over();
  },
  clear() {
    keep();
    strokes.clearRect(0, 0, canvas.width, canvas.height);
    hand_over();
  },
  rectangle() {
    keep();
    ink();
    const [left, top, width, height] = ["left", "top", "width", "height"].map(name => read(name) / 100);
    strokes.fillRect(left * canvas.width, top * canvas.height, width * canvas.width, height * canvas.height);
    hand_over();
  },
};

canvas.addEventListener("pointerdown", event => {
  canvas.setPointerCapture(event.pointerId);
  keep();
  last = at(event);
  stroke(event);
});
canvas.addEventListener("pointermove", event => { if (last) stroke(event); });
for (const end of ["pointerup", "pointercancel"])
  canvas.addEventListener(end, () => {
    if (last) hand_over();
    last = null;
  });

element.addEventListener("click", event => tools[event.target.dataset.do]?.());
element.addEventListener("input", event => {
  if (event.target.name === "zoom") element.querySelector(".over").style.width = `${read("zoom") * 100}%`;
});
watch("picture", () => {
  strokes.clearRect(0, 0, canvas.width, canvas.height);
  before.length = 0;
  show();
  hand_over();
  mark_again();
});

// A result that is taken up again brings its mask along, which is marked once its picture is here.
let taken = null;
async function mark_again() {
  const parcel = window.parcel, [picture, mask] = parcel?.sources ?? [];
  if (parcel === taken || parcel?.way !== "reuse-inpaint" || !mask || !props.picture?.endsWith(picture?.path)) return;
  taken = parcel;
  const answer = await fetch(mask.url);
  if (!answer.ok) return; // the server has deleted it
  const file = await createImageBitmap(await answer.blob());
  strokes.globalCompositeOperation = "copy";
  strokes.drawImage(file, 0, 0, canvas.width, canvas.height);
  const white = strokes.getImageData(0, 0, canvas.width, canvas.height), colour = COLOUR.match(/\w\w/g).map(part => parseInt(part, 16));
  for (let i = 0; i < white.data.length; i += 4) white.data.set([...colour, white.data[i]], i);
  strokes.putImageData(white, 0, 0);
  before.length = 0;
  show();
  hand_over();
}
window.addEventListener("arrive", mark_again);

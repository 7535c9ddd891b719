// The canvas holds the strokes in colour; the mask made of them goes to the server whenever a stroke has ended.
const canvas = element.querySelector("canvas");
const strokes = canvas.getContext("2d");
const COLOUR = "#137570";
let last = null;

function clear() {
  strokes.clearRect(0, 0, canvas.width, canvas.height);
  props.value = null;
}

function at(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width * canvas.width, (event.clientY - box.top) / box.height * canvas.height];
}

function stroke(event) {
  const place = at(event);
  Object.assign(strokes, { strokeStyle: COLOUR, lineCap: "round", lineJoin: "round" });
  strokes.lineWidth = Number(element.querySelector("input").value);
  strokes.beginPath();
  strokes.moveTo(...last);
  strokes.lineTo(...place);
  strokes.stroke();
  last = place;
}

async function hand_over() {
  const mask = new OffscreenCanvas(canvas.width, canvas.height);
  const black = mask.getContext("2d");
  black.drawImage(canvas, 0, 0);
  for (const [over, colour] of [["source-in", "white"], ["destination-over", "black"]]) {
    Object.assign(black, { globalCompositeOperation: over, fillStyle: colour });
    black.fillRect(0, 0, mask.width, mask.height);
  }
  const file = new File([await mask.convertToBlob()], "mask.png", { type: "image/png" });
  props.value = { ...await upload(file), orig_name: "mask.png", meta: { _type: "gradio.FileData" } };
}

canvas.addEventListener("pointerdown", event => {
  canvas.setPointerCapture(event.pointerId);
  last = at(event);
  stroke(event);
});
canvas.addEventListener("pointermove", event => { if (last) stroke(event); });
for (const end of ["pointerup", "pointercancel"])
  canvas.addEventListener(end, () => {
    if (last) hand_over();
    last = null;
  });

element.addEventListener("click", event => {
  if (event.target.dataset.do === "clear") clear();
});
watch("picture", clear);

// What a picture's buttons do. "send" leaves a parcel for the page, which the desk's listener delivers.
const pictures = () => props.value || [];

function enlarge(index) {
  const figure = element.querySelectorAll("figure")[index];
  const caption = document.createElement("p");
  caption.textContent = pictures()[index].caption;
  const ways = figure.querySelector(".ways")?.cloneNode(true);
  element.querySelector(".large").replaceChildren(figure.querySelector("img").cloneNode(), caption, ...(ways ? [ways] : []));
  element.querySelector("dialog").showModal();
}

// A film runs there and back again, as its GIF does, until it is stopped or another one comes.
const FRAME = 125; // milliseconds
let timer = null;

function play(on) {
  clearInterval(timer);
  props.playing = on;
  let step = 1;
  if (on) timer = setInterval(() => {
    const last = pictures().length - 1;
    if (last < 1) return play(false);
    if (props.shown + step < 0 || props.shown + step > last) step = -step;
    props.shown += step;
  }, FRAME);
}

function link(record) {
  const address = new URL(location.pathname, location.origin);
  address.searchParams.set("prompt", record.prompt);
  address.searchParams.set("seed", record.seed);
  address.searchParams.set("settings", JSON.stringify(record.settings));
  address.searchParams.set("checkpoint", record.checkpoint);
  return address.href;
}

function send(way, index) {
  element.querySelector("dialog").close();
  window.parcel = { way, ...pictures()[index] };
  trigger("send");
}

element.addEventListener("click", event => {
  const button = event.target.closest("[data-do]");
  const dialog = element.querySelector("dialog");
  if (event.target === dialog) dialog.close();
  if (!button) return;
  const index = Number(button.dataset.index);
  switch (button.dataset.do) {
    case "open":
      return enlarge(index);
    case "close":
      return dialog.close();
    case "play":
      return play(!props.playing);
    case "link":
      navigator.clipboard?.writeText(link(pictures()[index].record));
      button.textContent = "✓";
      return;
    case "send":
      return send(button.dataset.way, index);
  }
});

element.addEventListener("change", event => {
  const { value, dataset } = event.target;
  if (!event.target.matches(".ways select") || !value) return;
  event.target.value = "";
  send(value, Number(dataset.index));
});

element.addEventListener("input", event => {
  if (!event.target.matches(".scrub")) return;
  play(false);
  props.shown = Number(event.target.value);
});

// Finished pictures, and only they, carry records: the history tab, if there is one, keeps them in this browser.
watch("value", () => {
  if (props.playing) play(false);
  const finished = pictures().filter(picture => picture.record);
  const kept = props.film ? finished.slice(finished.length / 2, finished.length / 2 + 1) : finished; // of a film, one frame
  if (kept.length) window.dispatchEvent(new CustomEvent("drawn", { detail: kept }));
});

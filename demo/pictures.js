// What a picture's buttons do. "send" leaves a parcel for the page, which the listener of tab_builder.py delivers.
const pictures = () => props.value || [];

// What the pictures that are shown were made from: what was asked for since may have been refused.
const made = () => window.finished?.[props.board] ?? { sources: [], given: {} };

// What can be done with them, and what is shown before there are any, is the chosen checkpoint's.
const follow = () => { if (window.chosen && props.checkpoint !== window.chosen) props.checkpoint = window.chosen; };
follow();
window.addEventListener("chosen", follow);

let large = 0;

function enlarge(index) {
  large = index;
  const figure = element.querySelectorAll("figure")[index];
  const caption = document.createElement("p");
  caption.textContent = pictures()[index].caption;
  const ways = figure.querySelector(".ways")?.cloneNode(true);
  const licence = element.querySelector(".licence");
  if (ways && licence) ways.append(Object.assign(document.createElement("p"), { className: "licence", textContent: licence.textContent }));
  element.querySelector(".large").replaceChildren(figure.querySelector("img").cloneNode(), caption, ...(ways ? [ways] : []));
  const dialog = element.querySelector("dialog");
  if (!dialog.open) dialog.showModal();
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

element.addEventListener("keydown", event => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step && event.target.closest("dialog") && !event.target.closest(".menu") && pictures()[large + step]) enlarge(large + step);
});

function send(way, index) {
  element.querySelector("dialog").close();
  window.parcel = { way, ...pictures()[index], ...made() };
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
    case "sample": {
      const { wall } = window.checkpoints[props.checkpoint], language = navigator.language.startsWith("zh") ? "zh" : "en";
      window.sampled = true; // its seed is for this once
      window.parcel = { way: "sample", record: wall[language][index].record };
      return trigger("send");
    }
    case "play":
      return play(!props.playing);
    case "link":
      return window.sharing.share(pictures()[index].record, button);
    case "report":
      return window.dispatchEvent(new CustomEvent("report", { detail: pictures()[index] }));
    case "take": {
      const taken = index < 0 ? pictures() : [pictures()[index]];
      return window.dispatchEvent(new CustomEvent("take", { detail: { pictures: taken, form: button.dataset.form } }));
    }
    case "send":
      return send(button.dataset.way, index);
  }
});

element.addEventListener("input", event => {
  if (event.target.matches(".cut")) element.style.setProperty("--cut", `${event.target.value}%`);
  if (!event.target.matches(".scrub")) return;
  play(false);
  props.shown = Number(event.target.value);
});

// Finished pictures, and only they, carry records: the history keeps them in this browser, with what they came from,
// once there are all of them.
watch("value", () => {
  if (props.playing) play(false);
  const finished = pictures();
  if (!finished.length || !finished.every(picture => picture.record)) return;
  (window.finished ??= {})[props.board] = window.made?.[props.board];
  element.style.setProperty("--cut", "0%");
  const before = props.compared ? made().sources[0]?.url ?? "" : "";
  if (props.before !== before) props.before = before;
  if (props.compared && props.film) props.shown = finished.length - 1; // the result, and not where it began
  const detail = { pictures: finished, film: props.film, ...made() };
  window.dispatchEvent(new CustomEvent("drawn", { detail }));
});

// What was picked waits in window.picked for the event "pick". The arrows lead from the end of the prompt through the
// suggestions and back, Escape puts them away. Once something is drawn they have gone, also those that are on their way.
const box = () => document.querySelector("#prompt textarea");
let typing = false;
// Gradio's own event "input" follows key presses only: what an input method or a phone's keyboard puts in has none.
for (const kind of ["input", "compositionend"]) document.addEventListener(kind, event => {
  if (event.target !== box() || event.isComposing || !event.isTrusted) return;
  typing = true;
  setTimeout(() => trigger("typed"), 0);
});
document.addEventListener("click", event => {
  if (!event.target.closest?.("button.draw, button.sheet")) return;
  typing = false;
  if (props.value) props.value = null;
}, true);
watch("value", () => { if (!typing && props.value) props.value = null; });
const all = () => [...element.querySelectorAll("[data-pick]")];
element.addEventListener("click", event => {
  const button = event.target.closest("[data-pick]");
  if (!button) return;
  window.picked = button.dataset.pick;
  trigger("pick");
  box()?.focus();
});
document.addEventListener("keydown", event => {
  const buttons = all(), place = buttons.indexOf(document.activeElement), written = event.target === box();
  const atEnd = written && event.target.selectionEnd === event.target.value.length;
  if (!buttons.length || event.isComposing || (place < 0 && !written)) return;
  const go = to => { event.preventDefault(); to?.focus(); };
  if (event.key === "Escape") {
    element.querySelector(".suggestions").remove();
    go(box());
  } else if (atEnd && event.key === "ArrowDown") {
    go(buttons[0]);
  } else if (place >= 0 && ["ArrowDown", "ArrowRight"].includes(event.key)) {
    go(buttons[place + 1]);
  } else if (place >= 0 && ["ArrowUp", "ArrowLeft"].includes(event.key)) {
    go(place ? buttons[place - 1] : box());
  }
});

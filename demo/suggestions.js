// What was picked waits in window.picked for the event "pick". The arrows lead from the end of the prompt through the
// suggestions and back, Escape puts them away.
const box = () => document.querySelector("#prompt textarea");
// Gradio's own event "input" follows key presses only: what an input method or a phone's keyboard puts in has none.
for (const kind of ["input", "compositionend"]) document.addEventListener(kind, event => {
  if (event.target === box() && !event.isComposing && event.isTrusted) setTimeout(() => trigger("typed"), 0);
});
const all = () => [...element.querySelectorAll("[data-pick]")];
element.addEventListener("click", event => {
  const button = event.target.closest("[data-pick]");
  if (!button) return;
  window.picked = button.dataset.pick;
  trigger("pick");
  box()?.focus();
});
document.addEventListener("keydown", event => {
  const buttons = all(), place = buttons.indexOf(document.activeElement), typing = event.target === box();
  const atEnd = typing && event.target.selectionEnd === event.target.value.length;
  if (!buttons.length || event.isComposing || (place < 0 && !typing)) return;
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

// What was picked waits in window.picked for the event "pick", which the tab listens to; in window.pickedFor waits what
// it is offered for, if it is.
element.addEventListener("click", event => {
  const button = event.target.closest("[data-pick]");
  if (!button) return;
  window.picked = button.dataset.pick;
  window.pickedFor = button.dataset.for;
  trigger("pick");
});

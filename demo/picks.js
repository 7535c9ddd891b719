// What was picked waits in window.picked for the event "pick", which the tab listens to.
element.addEventListener("click", event => {
  const button = event.target.closest("[data-pick]");
  if (!button) return;
  window.picked = button.dataset.pick;
  trigger("pick");
});

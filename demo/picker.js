// Cards of checkpoints: what was wanted waits in window.wantedCheckpoint for the event "fetch".
element.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.do === "toggle") {
    props.open = !props.open;
    requestAnimationFrame(() => element.querySelector(".others")?.focus());
    return;
  }
  window.wantedCheckpoint = button.dataset.load;
  trigger("fetch");
});

// The page's address may name a checkpoint that is not in memory: then it is offered first.
window.addEventListener("wanted", ({ detail }) => {
  props.wanted = detail;
  props.open = true;
});

window.addEventListener("arrived", ({ detail }) => {
  props.open = false;
  props.changed += 1;
  if (!props.wanted || detail !== props.wanted) return;
  props.wanted = "";
  trigger("linked");
});

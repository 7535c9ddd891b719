// Cards of checkpoints: what was wanted waits in window.wanted for the event "load".
element.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.do === "toggle") {
    props.open = !props.open;
    requestAnimationFrame(() => element.querySelector(".others")?.focus());
    return;
  }
  window.wanted = button.dataset.load;
  trigger("load");
});

// The page's address may name a checkpoint that is not in memory: then it is offered first.
window.addEventListener("wanted", ({ detail }) => {
  props.wanted = detail;
  props.open = true;
});

watch("changed", () => {
  props.open = false;
  if (props.wanted && window.arrivedSource === props.wanted) {
    props.wanted = "";
    trigger("linked");
  }
});

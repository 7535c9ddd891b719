// A preset is kept by its name; any change of a number makes the value a table of its own.
const current = () => {
  const here = props.presets[props.checkpoint];
  return typeof props.value === "string" ? here[props.value] || here.default : props.value;
};

element.addEventListener("click", event => {
  const button = event.target.closest("[data-preset]");
  if (button) props.value = button.dataset.preset;
});

// While a slider moves only its number follows; its value counts once it is let go.
element.addEventListener("input", event => {
  if (event.target.type === "range") event.target.nextElementSibling.value = event.target.value;
});

element.addEventListener("change", event => {
  const { stage, key } = event.target.dataset;
  if (!stage) return;
  const chosen = structuredClone(current());
  if (key === "scheduler") Object.assign(chosen[stage], { eta: 0, times: 1 }); // belong to some schedulers only
  chosen[stage][key] = event.target.tagName === "SELECT" ? event.target.value : Number(event.target.value);
  props.value = chosen;
});

element.addEventListener("toggle", event => { props.open = event.target.open; }, true);

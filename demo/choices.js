// A preset is kept by its name; any change of a number, and a negative prompt, makes the value a table of its own.
const presets = () => window.checkpoints[props.checkpoint].presets[props.kind];

const current = () => {
  const here = presets();
  return typeof props.value === "string" ? here[props.value] || here.default : props.value;
};

const against = (preset, negative) =>
  negative ? { ...presets()[preset], negative_prompt: negative } : preset;

element.addEventListener("click", event => {
  const button = event.target.closest("[data-preset]");
  if (button) props.value = against(button.dataset.preset, props.value.negative_prompt);
});

// While a slider moves only its number follows; its value counts once it is let go.
element.addEventListener("input", event => {
  if (event.target.type === "range") event.target.nextElementSibling.value = event.target.value;
});

element.addEventListener("change", event => {
  const { stage, key } = event.target.dataset;
  if (key === "negative_prompt") {
    const { negative_prompt, ...stages } = current(), here = presets();
    const preset = Object.keys(here).find(name => JSON.stringify(here[name]) === JSON.stringify(stages));
    const text = event.target.value.trim();
    props.value = preset ? against(preset, text) : { ...stages, ...(text && { negative_prompt: text }) };
  }
  if (!stage) return;
  const chosen = structuredClone(current());
  if (key === "scheduler") Object.assign(chosen[stage], { eta: 0, times: 1 }); // belong to some schedulers only
  chosen[stage][key] = event.target.tagName === "SELECT" ? event.target.value : Number(event.target.value);
  props.value = chosen;
});

element.addEventListener("toggle", event => { props.open = event.target.open; }, true);

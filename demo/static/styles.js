// A prompt in a style: the style stands at its end, in the words of the prompt's language, as in demo/styles.py.

const ends = name => [`, ${name} style`, `，${name}风格`];

// The style at the end of a prompt, or "".
export function styleOf(prompt, styles) {
  return styles.find(({ name }) => ends(name).some(end => prompt.endsWith(end)))?.name ?? "";
}

// The prompt in this style; picking the one that is there takes it off, and a style alone shows what its sample shows.
export function restyled(prompt, style, styles) {
  const was = styleOf(prompt, styles), end = was ? ends(was).find(end => prompt.endsWith(end)) : "";
  const bare = prompt.slice(0, prompt.length - end.length).replace(/[\s,，]+$/, "");
  if (was === style) return bare;
  if (!bare) return styles.find(({ name }) => name === style).prompt || `${style} style`;
  return bare + ends(style)[/\p{Script=Han}/u.test(bare) ? 1 : 0];
}

"""A prompt in a style: the style stands at its end, in the words of the prompt's language."""

import re
from collections.abc import Sequence

from dalle2.datasets.caption_words import in_style

HAN = re.compile("[\u3400-\u9fff]")
# The same as `restyled` in the browser, for the picked style. Picking the one that is there takes it off, and a style
# alone is shown on what its sample shows.
TOGGLE = """(text, checkpoint) => {
  const prompt = text || "", style = window.picked, offered = window.checkpoints[checkpoint].styles;
  const styles = offered.map(({name}) => name);
  const said = name => name.endsWith(" style") ? name : `${name} style`;
  const ends = styles.map(name => [name, [`, ${said(name)}`, `，${name}风格`]]);
  const [was, all] = ends.find(([_, all]) => all.some(end => prompt.endsWith(end))) ?? ["", []];
  const end = all.find(end => prompt.endsWith(end)) ?? "";
  const bare = prompt.slice(0, prompt.length - end.length).replace(/[\\s,，]+$/, "");
  if (was === style) return bare;
  if (!bare) return offered.find(({name}) => name === style)?.prompt || said(style);
  return /\\p{Script=Han}/u.test(bare) ? `${bare}，${style}风格` : `${bare}, ${said(style)}`;
}"""
# The style at the end of a prompt, or "".
CHOSEN = """(prompt, checkpoint) => {
  const said = name => name.endsWith(" style") ? name : `${name} style`;
  const ends = name => [`, ${said(name)}`, `，${name}风格`].some(end => (prompt || '').endsWith(end));
  return window.checkpoints[checkpoint].styles.find(({name}) => ends(name))?.name ?? '';
}"""


def restyled(prompt: str, style: str, styles: Sequence[str]) -> str:
    """Return the prompt in this style, in the place of another one of `styles` that stood at its end."""
    ends = [end for name in styles for end in (f", {in_style(name)}", f"，{name}风格")]
    bare = next((prompt.removesuffix(end) for end in ends if prompt.endswith(end)), prompt).rstrip(" ,，")
    return f"{bare}，{style}风格" if HAN.search(bare) else f"{bare}, {in_style(style)}"

"""The tab "create": a prompt becomes pictures."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gradio as gr

from demo.desk import DEFAULT_PICTURES, HERE, Answer, Desk, answers
from demo.language import refused
from demo.studio import MAX_PROMPT_CHARACTERS, Drawing, Refusal, read_record, words

# How long the prompt is, in the characters that the limit counts. The browser's tab remembers it over a reload.
COUNT = f"""prompt => {{
  sessionStorage.setItem("prompt", prompt || "");
  return `${{[...(prompt || '')].length}} / {MAX_PROMPT_CHARACTERS:,}`;
}}"""
# What a share link asks for, or the prompt that stood here before; widgets that neither names stay as they are.
FROM_LINK = """(...now) => {
  const link = new URLSearchParams(location.search);
  const read = (name, parse) => { try { return parse(link.get(name)); } catch { return null; } };
  const settings = link.has("settings") ? read("settings", JSON.parse) : null;
  return [
    link.get("prompt")?.slice(0, %d) ?? (sessionStorage.getItem("prompt") || now[0]),
    link.has("seed") && Number.isInteger(Number(link.get("seed"))) ? Number(link.get("seed")) : now[1],
    link.has("seed") ? false : now[2],
    settings ?? now[3],
    %s.includes(link.get("checkpoint")) ? link.get("checkpoint") : now[4],
  ];
}"""

# The prompt with the style at its end, in the place of another one that stood there, in the words of its language.
IN_STYLE = """(prompt, style, styles) => {
  const ends = styles.flatMap(name => [`, ${name} style`, `，${name}风格`]);
  const end = ends.find(end => prompt.endsWith(end)) ?? "";
  const bare = prompt.slice(0, prompt.length - end.length).replace(/[\\s,，]+$/, "");
  return /\\p{Script=Han}/u.test(bare) ? `${bare}，${style}风格` : `${bare}, ${style} style`;
}"""


def build(desk: Desk) -> None:
    """Lay out the tab, with the endpoints `/text_to_image` and `/settings_of_picture`."""
    if not desk.studio.can("text_to_image"):
        return
    say, first = desk.say, desk.studio.checkpoints[0]
    with desk.tab("create", "Create", "创作"), desk.task():
        with desk.asking():
            prompt = _prompt(desk)
            bench = desk.bench()
        pictures = desk.pictures()
        with desk.options():
            _examples(desk, prompt)
            count = desk.count()
            seed, random_seed = desk.seed()
            settings = desk.choices()
            upload = gr.UploadButton(
                say("Load settings from a picture", "从图片读取设置"),
                file_types=[".png"],
                size="sm",
                elem_id="load-settings",
            )

    def text_to_image(
        prompt: str,
        seed: int | None = 0,
        random_seed: bool = True,
        count: int = DEFAULT_PICTURES,
        settings: Any = "default",
        checkpoint: str = first,
        request: gr.Request = None,
    ) -> Iterator[Answer]:
        """Draw pictures from a prompt: their files, captions and records, the first one's seed, and the progress.

        Previews come first, as they form; the last answer has the state "done". The seeds count up from picture
        to picture. `settings` is "draft", "fast", "default", "best", or a table as in a record. Each PNG carries its
        record (prompt, seed, settings, checkpoint) in the text chunk "parameters".
        """

        def draw() -> Iterator[Drawing]:
            asked = words(prompt)
            yield from desk.studio.draw(
                lambda model, seeds, chosen, on_step: model.text_to_image([asked] * count, seeds, chosen, on_step),
                None if random_seed else seed,
                count,
                settings,
                checkpoint,
            )

        yield from answers(draw, prompt.strip() if isinstance(prompt, str) else "", request)

    def settings_of_picture(picture: str, request: gr.Request = None) -> tuple[str, int, bool, Any]:
        """Read the record of a PNG that this program drew: its prompt, seed, False (not random), and settings."""
        try:
            record = read_record(picture)
            prompt, seed = record.get("prompt"), record.get("seed")
            if not isinstance(prompt, str) or not isinstance(seed, int):
                raise Refusal("This picture's record has no prompt and seed: choose one that was drawn from a prompt.")
            return prompt, seed, False, desk.studio.settings(record.get("settings", "default")).to_dict()
        except Refusal as refusal:
            raise gr.Error(refused(refusal, request), print_exception=False) from refusal

    desk.draws(bench, text_to_image, [prompt, seed, random_seed, count, settings], [pictures, seed])
    known = [(prompt, "record.prompt"), (seed, "record.seed"), (random_seed, False), (settings, "record.settings")]
    desk.reuses("text_to_image", "create", known)
    loaded = [prompt, seed, random_seed, settings]
    upload.upload(settings_of_picture, upload, loaded, api_name="settings_of_picture", show_progress="hidden")
    linked = [*loaded, desk.checkpoint]
    js = FROM_LINK % (MAX_PROMPT_CHARACTERS, json.dumps(desk.studio.checkpoints))
    desk.page.load(None, linked, linked, js=js, **HERE)


def _prompt(desk: Desk) -> gr.Textbox:
    """The prompt's box with a counter, and below it the checkpoint's styles to pick from."""
    prompt = gr.Textbox(
        "",
        label=desk.say("Prompt", "描述"),
        placeholder=desk.say("What should the picture show?", "想画什么？"),
        lines=2,
        max_lines=6,
        max_length=MAX_PROMPT_CHARACTERS,
        elem_id="prompt",
    )
    counter = gr.HTML(f"0 / {MAX_PROMPT_CHARACTERS:,}", elem_id="counter")
    prompt.change(None, prompt, counter, js=COUNT, **HERE)
    offered = {name: desk.studio.model(name).styles for name in desk.studio.checkpoints}
    _chips(desk, desk.say("Style", "风格"), offered, "styles", prompt, IN_STYLE)
    return prompt


def _examples(desk: Desk, prompt: gr.Textbox) -> None:
    """Prompts that this checkpoint can draw; a click puts one into the box."""
    offered = {name: desk.studio.model(name).examples for name in desk.studio.checkpoints}
    _chips(desk, desk.say("Try one of these", "试试这些"), offered, "examples", prompt, "(_, picked) => picked")


def _chips(
    desk: Desk, label: Any, offered: Mapping[str, Sequence[str]], elem_id: str, prompt: gr.Textbox, put: str
) -> None:
    """Texts to pick from, those of the chosen checkpoint; `put` makes a new prompt of (prompt, picked, all texts).

    All of it happens in the browser: a click counts at once, also while the server is busy.
    """
    chips = gr.Dataset(
        components=[gr.Textbox(visible=False)],
        samples=[[text] for text in offered[desk.checkpoint.value]],
        label=label,
        samples_per_page=100,
        visible=any(offered.values()),
        elem_id=elem_id,
    )
    texts = json.dumps(offered)
    pick = f"(prompt, index, checkpoint) => (all => ({put})(prompt, all[index], all))({texts}[checkpoint])"
    chips.click(None, [prompt, chips, desk.checkpoint], prompt, js=pick, **HERE)
    show = f"checkpoint => ({{__type__: 'update', samples: {texts}[checkpoint].map(text => [text])}})"
    desk.checkpoint.change(None, desk.checkpoint, chips, js=show, **HERE)

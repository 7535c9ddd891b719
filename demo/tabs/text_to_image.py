"""The tab "Create": a prompt becomes pictures."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import gradio as gr

from dalle2.serving.limits import words
from dalle2.serving.refusal import Refusal
from dalle2.serving.uploads import read_record
from dalle2.settings import MAX_PROMPT_CHARACTERS
from dalle2.tasks.text_to_image import TextToImage
from dalle2.understanding.answer import Understanding
from demo import microphone, styles
from demo.answers import Answer, Order
from demo.interface import described
from demo.language import Bilingual, refused
from demo.picks import Picks
from demo.suggestions import Suggestions, suggested, surprise
from demo.tab_builder import DEFAULT_PICTURES, HERE, Destination, TabBuilder

# How long the prompt is, in the characters that the limit counts. The browser's tab remembers it over a reload.
COUNT = f"""prompt => {{
  sessionStorage.setItem("prompt", prompt || "");
  return `${{[...(prompt || '')].length.toLocaleString("en")}} / {MAX_PROMPT_CHARACTERS:,}`;
}}"""
# What a share link asks for, or the prompt that stood here before; widgets that neither names stay as they are.
FROM_LINK = """(...now) => {
  const link = new URLSearchParams(location.search);
  const asked = link.get("checkpoint"), kept = sessionStorage.getItem("checkpoint");
  const found = asked && window.checkpointOf(asked);
  if (asked && !found) window.offerLinked(asked);
  const checkpoint = found || (kept in window.checkpoints ? kept : now[6]);
  const settings = link.has("settings") ? window.sharing.settings_of(link.get("settings"), checkpoint) : null;
  const seed = /^[0-9]+$/.test(link.get("seed")) ? Number(link.get("seed")) : null;
  const recorded = seed !== null && link.get("prompt"); // a picture's; before "asked" its very words were drawn
  return [
    link.get("prompt")?.slice(0, %d) ?? (sessionStorage.getItem("prompt") || now[0]),
    seed ?? now[1],
    link.has("seed") ? false : now[2],
    settings ?? now[3],
    recorded ? !link.has("asked") : now[4],
    link.get("weights") ?? now[5],
    checkpoint,
    recorded ? 1 : now[7],
  ];
}"""
SEED_ONCE = """(now, random) => {
  if (!window.sampled || ["waiting", "working"].includes(now.state)) return random;
  window.sampled = false;
  return true;
}"""
# A link to a picture shows that picture at once.
DRAW_LINK = """() => {
  const link = new URLSearchParams(location.search);
  const asked = link.get("prompt") && /^[0-9]+$/.test(link.get("seed"));
  const drawer = link.get("checkpoint");
  // By a checkpoint that is to be loaded first, it is drawn once that is there.
  const waits = drawer && window.offerOf(drawer) && !window.checkpointOf(drawer);
  if (asked && !waits) document.querySelector("#tab-text_to_image button.draw")?.click();
}"""


def build(builder: TabBuilder) -> None:
    """Lay out the tab, with the endpoints `/text_to_image` and `/settings_of_picture`."""
    if not builder.service.can("text_to_image"):
        return
    say, first = builder.say, builder.service.checkpoints[0]
    with builder.tab("text_to_image", "Create", "创作", "text_to_image"), builder.task():
        with builder.asking():
            prompt = _prompt(builder)
            builder.hint("{}", "{}", "hint")
            controls = builder.controls(sheet=True)
            builder.understood("text_to_image", controls, [prompt])
            if builder.service.understands() or builder.recogniser is not None:
                with gr.Row(elem_classes="helps"):
                    if builder.service.understands():
                        _surprise(builder, prompt)
                    microphone.build(builder, prompt)
        pictures = builder.pictures(wall=True)
        with builder.options():
            _examples(builder, prompt)
            count = builder.count()
            seed, random_seed = builder.seed()
            literal = builder.literal()
            # Of a record or link that is drawn again, until something else is asked for.
            weights = gr.Textbox("", visible="hidden", elem_id="weights")
            prompt.input(None, None, weights, js="() => ''", **HERE)
            settings = builder.choices()
            upload = gr.UploadButton(
                say("Load settings from a picture", "从图片读取设置"),
                file_types=[".png", ".svg"],
                size="sm",
                elem_id="load-settings",
            )

    def text_to_image(
        prompt: str,
        seed: int | None = 0,
        random_seed: bool = True,
        count: int = DEFAULT_PICTURES,
        settings: Any = "default",
        literal: bool = False,
        weights: str = "",
        checkpoint: str = first,
        request: gr.Request = None,
    ) -> Iterator[Answer]:
        """Draw pictures from a prompt: their files, captions and records, the first one's seed, and the progress.

        The progress says as `understanding` what the prompt was taken for; `literal` draws the very words. Previews
        come first, as they form; the last answer has the state "done". The seeds count up from picture
        to picture. `settings` is "draft", "fast", "default", "best", or a table as in a record. Each PNG carries its
        record (prompt, seed, settings, checkpoint) in the text chunk "parameters".
        """
        order = Order(None if random_seed else seed, settings, checkpoint, count, literal, weights)
        yield from builder.draw(
            lambda: TextToImage([words(prompt)]), order, _caption(prompt), request, numbered="{}, {}"
        )

    asked = [prompt, seed, random_seed, count, settings, literal, weights]
    # The seed of a picture of the wall is for drawing that once.
    controls.status.change(None, [controls.status, random_seed], random_seed, js=SEED_ONCE, **HERE)
    builder.on_draw(controls, text_to_image, asked, [pictures, seed])
    in_all_styles = _in_all_styles(builder)
    sheet = dataclasses.replace(controls, draw=controls.sheet)
    builder.on_draw(sheet, in_all_styles, [prompt, seed, random_seed, settings, literal], [pictures, seed])
    known = [(prompt, "record.prompt"), (seed, "record.seed"), (random_seed, False), (settings, "record.settings")]
    # A record without what was asked is of the very words, as all were once.
    as_then = [*known, (literal, "!record.asked"), (weights, "record.checkpoint_hash")]
    builder.add_reuse("text_to_image", "text_to_image", as_then)
    # A picture of the wall is drawn as it is; "sample" is the task of no picture, so that no menu offers this way.
    builder.add_destination(
        Destination("sample", "text_to_image", Bilingual("Draw it", "画出来"), known, task="sample", press="draw")
    )
    all_styles = Bilingual("All styles", "全部风格")
    builder.add_destination(
        Destination("all-styles", "text_to_image", all_styles, as_then, "text_to_image", near=True, press="sheet")
    )
    loaded = [prompt, seed, random_seed, settings, literal, weights]
    upload.upload(_settings_of_picture(builder), upload, loaded, api_name="settings_of_picture", show_progress="hidden")
    linked = [*loaded, builder.checkpoint, count]
    for comes in (builder.page.load, builder.picker.linked):
        filled = comes(None, linked, linked, js=FROM_LINK % MAX_PROMPT_CHARACTERS, **HERE)
        filled.then(None, None, None, js=DRAW_LINK, **HERE)


def _in_all_styles(builder: TabBuilder) -> Callable[..., Iterator[Answer]]:
    first = builder.service.checkpoints[0]

    def in_all_styles(
        prompt: str,
        seed: int | None = 0,
        random_seed: bool = True,
        settings: Any = "default",
        literal: bool = False,
        checkpoint: str = first,
        request: gr.Request = None,
    ) -> Iterator[Answer]:
        """Draw a prompt once in each style of the checkpoint, all from one seed; answers as `/text_to_image`.

        A style that the prompt names at its end gives way.
        """

        def ask() -> TextToImage:
            said, offered = words(prompt), builder.service.model(checkpoint).styles
            if not offered:
                raise Refusal(f"The checkpoint {checkpoint} has no styles of its own: name one in the prompt.")
            return TextToImage([styles.restyled(said, style, offered) for style in offered])

        def about() -> Sequence[Understanding]:  # all styles are of one thing
            return builder.service.understood(TextToImage([words(prompt)]), checkpoint).understandings

        def named(record: Mapping[str, Any]) -> str:
            return str(record["prompt"])

        order = Order(None if random_seed else seed, settings, checkpoint, literal=literal)
        yield from builder.draw(ask, order, _caption(prompt), request, named, about=about)

    return in_all_styles


def _caption(prompt: object) -> Bilingual:
    said = prompt.strip() if isinstance(prompt, str) else ""
    return Bilingual(said, said)


def _settings_of_picture(builder: TabBuilder) -> Callable[..., tuple[str, int, bool, Any, bool, str]]:
    def settings_of_picture(picture: str, request: gr.Request = None) -> tuple[str, int, bool, Any, bool, str]:
        """Read the record of a PNG that this program drew.

        Answers with its prompt, seed, False (not random), settings, whether its very words were drawn, and the
        checkpoint's hash, as `/text_to_image` takes them.
        """
        try:
            record: dict[str, Any] = read_record(picture)
            prompt, seed = record.get("prompt"), record.get("seed")
            if not isinstance(prompt, str) or not isinstance(seed, int):
                raise Refusal("This picture's record has no prompt and seed: choose one that was drawn from a prompt.")
            drawer = record.get("checkpoint")
            known = drawer if drawer in builder.service.checkpoints else None
            settings = builder.service.settings(record.get("settings", "default"), known).to_dict()
            return prompt, seed, False, settings, "asked" not in record, str(record.get("checkpoint_hash", ""))
        except Refusal as refusal:
            raise gr.Error(refused(refusal, request), print_exception=False) from refusal

    return described(settings_of_picture)


def _prompt(builder: TabBuilder) -> gr.Textbox:
    """Return the prompt's box with a counter, and below it the checkpoint's styles to pick from."""
    prompt = gr.Textbox(
        "",
        label=builder.say("Prompt", "描述"),
        placeholder=builder.say("What should the picture show?", "想画什么？"),
        lines=2,
        max_lines=6,
        max_length=MAX_PROMPT_CHARACTERS,
        elem_id="prompt",
    )
    counter = gr.HTML(f"0 / {MAX_PROMPT_CHARACTERS:,}", elem_id="counter")
    prompt.change(None, prompt, counter, js=COUNT, **HERE)
    _suggestions(builder, prompt)
    picks = Picks("styles", builder.checkpoint.value, Bilingual("Style", "风格"), True, "styles")
    picks.follow(builder.checkpoint, HERE)
    picks.pick(None, [prompt, builder.checkpoint], prompt, js=styles.TOGGLE, **HERE)
    prompt.change(None, [prompt, builder.checkpoint], picks, js=styles.CHOSEN, **HERE)
    return prompt


def _suggestions(builder: TabBuilder, prompt: gr.Textbox) -> None:
    """Offer what is known and begins as the last words do, below the prompt while somebody types."""
    if not builder.service.understands():
        return
    shown, first = Suggestions(), builder.service.checkpoints[0]

    def suggest(prompt: str, checkpoint: str = first, request: gr.Request = None) -> dict[str, Any]:
        """Suggest what a prompt that is being typed may mean, in the language of the accept-language header.

        Answers {"suggestions": [{"label", "prompt", "trained"}]}, at most six: `prompt` is the whole prompt to go on
        with, `trained` whether the checkpoint was ever shown the concept.
        """
        try:
            return suggested(builder.service, prompt, checkpoint, request)
        except Refusal as refusal:
            raise gr.Error(refused(refusal, request), print_exception=False) from refusal

    options = {"queue": False, "show_progress": "hidden", "trigger_mode": "always_last"}
    shown.typed(described(suggest), [prompt, builder.checkpoint], shown, api_name="suggest", **options)
    picked = shown.pick(None, None, [prompt, shown], js="() => [window.picked, null]", **HERE)
    picked.then(None, prompt, None, js="prompt => sessionStorage.setItem('prompt', prompt)", **HERE)


def _surprise(builder: TabBuilder, prompt: gr.Textbox) -> None:
    """Lay out a button that draws something which comes out well."""
    first = builder.service.checkpoints[0]

    def surprise_me(checkpoint: str = first, request: gr.Request = None) -> str:
        """Name something by chance that the checkpoint draws well, as a prompt for `/text_to_image`."""
        try:
            with builder.service.lease(checkpoint) as lease:
                lease.wait()
                return surprise(builder.service, checkpoint, request)
        except Refusal as refusal:
            raise gr.Error(refused(refusal, request), print_exception=False) from refusal

    button = gr.Button(builder.say("Surprise me", "给我个惊喜"), size="sm", elem_id="surprise")
    options = {"queue": False, "show_progress": "hidden", "api_name": "surprise_me"}
    named = button.click(described(surprise_me), builder.checkpoint, prompt, **options)
    named.success(None, None, None, js="() => window.arrive('text_to_image', 'draw')", **HERE)


def _examples(builder: TabBuilder, prompt: gr.Textbox) -> None:
    """Prompts that this checkpoint can draw; a click draws one."""
    picks = Picks("examples", builder.checkpoint.value, Bilingual("Try one of these", "试试这些"), elem_id="examples")
    picks.follow(builder.checkpoint, HERE)
    picked = picks.pick(None, None, prompt, js="() => window.picked", **HERE)
    picked.then(None, None, None, js="() => window.arrive('text_to_image', 'draw')", **HERE)

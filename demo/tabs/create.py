"""The task "create": a prompt becomes pictures. Its widgets and its events; the model is the studio's business."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr
from PIL import Image

from demo.status import Status, status
from demo.studio import MAX_GUIDANCE, MAX_PICTURES, MAX_PROMPT_CHARACTERS, MAX_STEPS, Drawing, Refusal, Studio

HINT = "Ctrl + Enter draws, Esc stops."
DEFAULT_PICTURES = 4
# The enlarged picture, if any, is closed: it would hide the new ones.
BEGIN = f"""() => [
  {json.dumps(status("waiting", "Waiting for the turn"))},
  {{__type__: "update", selected_index: null}},
]"""
# After cancelling, and after an error that Gradio itself explains (queue full), no answer has ended the progress.
END = f"""now => ["waiting", "working"].includes(now.state) ? {json.dumps(status("stopped", "Stopped."))} : now"""
Captioned = tuple[Image.Image, str]


def build(studio: Studio) -> None:
    """Lay out the tab inside the open `gr.Blocks`, with the endpoint `/text_to_image`."""
    with gr.Column(elem_id="create"):
        with gr.Column(elem_id="ask"):
            prompt = _prompt(studio.model.examples, studio.model.styles)
            with gr.Row(elem_id="buttons"):
                draw_button = gr.Button("Draw", variant="primary", elem_id="draw")
                stop_button = gr.Button("Stop", variant="stop", elem_id="stop")
            state = Status(status("idle", HINT), elem_id="status")
        pictures = gr.Gallery(
            label="Pictures",
            show_label=False,
            format="png",  # the default, webp, would lose the pictures' records
            interactive=False,
            object_fit="contain",
            buttons=["download", "fullscreen"],
            elem_id="pictures",
        )
        with gr.Column(elem_id="options"):
            if studio.model.examples:
                gr.Examples(
                    [[example] for example in studio.model.examples],
                    prompt,
                    label="Try one of these",
                    examples_per_page=len(studio.model.examples),
                    api_visibility="private",
                )
            seed, *others = _options(studio)
    # These answer at once: the page does not ask the server.
    here = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    begun = draw_button.click(None, None, [state, pictures], js=BEGIN, **here)
    drawn = begun.then(
        _endpoint(studio),
        [prompt, seed, *others],
        [pictures, seed, state],
        api_name="text_to_image",
        concurrency_id="accelerator",
        concurrency_limit=1,
        show_progress="minimal",
        show_progress_on=state,
    )
    drawn.failure(None, state, state, js=END, **here)
    stop_button.click(None, None, None, cancels=[drawn], **here)


def _prompt(examples: Sequence[str], styles: Sequence[str]) -> gr.Textbox:
    """The prompt's box, and below it the checkpoint's styles to pick from."""
    prompt = gr.Textbox(
        label="Prompt",
        placeholder=f"What should the picture show? For example: {(*examples, 'a cat face')[0]}",
        lines=2,
        max_lines=6,
        max_length=MAX_PROMPT_CHARACTERS,
        elem_id="prompt",
    )
    if styles:
        picks = gr.Dataset(
            components=[gr.Textbox(visible=False)],
            samples=[[style] for style in styles],
            label="Style",
            samples_per_page=len(styles),
            elem_id="styles",
        )
        picks.click(
            lambda words, picked: _in_style(words, picked[0], styles),
            [prompt, picks],
            prompt,
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
    return prompt


def _options(studio: Studio) -> list[gr.components.Component]:
    """What may stay as it is, in the order of the endpoint's arguments after the prompt."""
    default = studio.model.settings
    count = gr.Slider(
        1, MAX_PICTURES, value=DEFAULT_PICTURES, step=1, label="Number of pictures", buttons=[], elem_id="count"
    )
    with gr.Row(elem_id="seeds"):
        seed = gr.Number(0, label="Seed", precision=0, elem_id="seed")
        random_seed = gr.Checkbox(True, label="Random seed", elem_id="random-seed")
    with gr.Accordion("Advanced", open=False):
        stages = [
            _steps("Prior: steps", default.prior.num_inference_steps),
            _guidance("Prior: guidance", default.prior.guidance_scale),
            _steps("Decoder: steps", default.decoder.num_inference_steps),
            _guidance("Decoder: guidance", default.decoder.guidance_scale),
            _steps("Upsampler: steps", default.upsampler.num_inference_steps),
        ]
    return [seed, random_seed, count, *stages]


def _endpoint(studio: Studio) -> Callable[..., Iterator[tuple]]:
    """The function behind the button and the API; its annotations and docstring are the API's documentation."""
    default = studio.model.settings

    # An argument here is a parameter of the API, so there are many.
    def text_to_image(  # noqa: PLR0913
        prompt: str,
        seed: int | None = 0,
        random_seed: bool = True,
        count: int = DEFAULT_PICTURES,
        prior_steps: int = default.prior.num_inference_steps,
        prior_guidance: float = default.prior.guidance_scale,
        decoder_steps: int = default.decoder.num_inference_steps,
        decoder_guidance: float = default.decoder.guidance_scale,
        upsampler_steps: int = default.upsampler.num_inference_steps,
    ) -> Iterator[tuple[list[Captioned], int, dict[str, Any]]]:
        """Draw pictures from a prompt: their files with captions, the seed of the first one, and the progress.

        Previews come first, as they form; the last answer has the state "done". The seeds count up from picture
        to picture; each PNG carries its prompt, seed and settings in the text chunk "parameters".
        """
        try:
            settings = studio.settings((prior_steps, decoder_steps, upsampler_steps), prior_guidance, decoder_guidance)
            shown: Sequence[Image.Image] = ()
            for drawing in studio.text_to_image(prompt, None if random_seed else seed, count, settings):
                # Pictures that the page has already are not sent again.
                fresh = gr.skip() if drawing.pictures is shown else _captioned(drawing, prompt)
                shown = drawing.pictures
                yield fresh, drawing.seeds[0], _status(drawing)
        except Refusal as refusal:
            yield gr.skip(), gr.skip(), status("refused", str(refusal))
            # The page shows the sentence in its status line; this one is for the API.
            raise gr.Error(str(refusal), visible=False, print_exception=False) from refusal

    return text_to_image


def _steps(label: str, value: int) -> gr.Slider:
    return gr.Slider(1, MAX_STEPS, value=value, step=1, label=label)


def _guidance(label: str, value: float) -> gr.Slider:
    return gr.Slider(0, MAX_GUIDANCE, value=value, step=0.5, label=label)


def _in_style(prompt: str, style: str, styles: Sequence[str]) -> str:
    """The prompt with this style at its end, in the place of another one that stood there."""
    for other in styles:
        prompt = prompt.removesuffix(f", {other} style")
    return f"{prompt.rstrip(' ,')}, {style} style"


def _captioned(drawing: Drawing, prompt: str) -> list[Captioned]:
    return [
        (picture, f"{prompt.strip()}, seed {seed}")
        for picture, seed in zip(drawing.pictures, drawing.seeds, strict=True)
    ]


def _status(drawing: Drawing) -> dict[str, Any]:
    """What the status line says of a drawing."""
    if drawing.finished:
        return status("done", "Done. Click a picture to enlarge or download it.")
    running = [(name, done, total) for name, done, total in drawing.stages if done]
    if not running:
        return status("waiting", "Waiting for the turn", drawing.stages)
    name, done, total = running[-1]
    return status("working", f"{name.capitalize()}: step {done} of {total}", drawing.stages)

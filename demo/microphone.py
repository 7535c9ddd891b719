"""A microphone below the prompt of "Create": what was heard stands in the prompt, to be corrected before it is drawn.

The recording is a visitor's own voice: it is deleted as soon as it has been read.
"""

import importlib.util
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from dalle2.serving.refusal import Refusal
from dalle2.serving.service import Service
from dalle2.speech.recording import MOST_SECONDS, read_recording
from dalle2.speech.transcript import Recogniser
from demo.gradio_internals import drawn_by_parent
from demo.interface import described
from demo.language import Bilingual, refused
from demo.status import Status, status
from demo.tab_builder import BEGIN, END, HERE, TabBuilder

if TYPE_CHECKING:
    from dalle2.speech.mending import Mending

FOLDER = Path(__file__).parent
SPEAK = (FOLDER / "microphone.html").read_text(encoding="utf-8")
ASK = (FOLDER / "microphone.js").read_text(encoding="utf-8")
HEARD = (FOLDER / "heard.html").read_text(encoding="utf-8")
PICK = (FOLDER / "picks.js").read_text(encoding="utf-8")
# A recording that runs on would only be refused.
STOP_IN_TIME = f"""() => {{
  clearTimeout(window.recordingEnds);
  const stop = () => document.querySelector("#microphone .stop-button")?.click();
  window.recordingEnds = setTimeout(stop, {MOST_SECONDS * 1000});
}}"""
STOPPED = "() => clearTimeout(window.recordingEnds)"
CORRECT = "() => document.querySelector('#prompt textarea').focus()"
SAID = Bilingual(
    "Heard: “{}”. Speech is often misheard: correct the words in the prompt, then draw.",
    "听到：“{}”。语音常会听错：请先在描述里改正，再绘制。",
)
TAKEN = Bilingual(
    "Heard: “{}”, which was taken for “{}”. Speech is often misheard: correct the words in the prompt, then draw.",
    "听到：“{}”，按读音理解为“{}”。语音常会听错：请先在描述里改正，再绘制。",
)
RECOGNISERS = 4  # that are kept, one a checkpoint


@drawn_by_parent
class OwnVoice(gr.Audio):
    """A visitor's recording, spoken here or uploaded. Its value is the file's path, which nobody has decoded yet."""

    def preprocess(self, payload: Any) -> str | None:
        return payload.path if payload else None


class TranscriptLine(gr.HTML):
    """Says what was heard, and offers the prompt that stood there `before`: event "pick", in `window.picked`."""

    def __init__(self, render: bool = True) -> None:
        options = {"html_template": HEARD, "js_on_load": PICK, "elem_classes": "picks", "apply_default_css": False}
        super().__init__(None, label="Heard", render=render, **options)

    api_info = Status.api_info
    example_payload = Status.example_payload


def available(service: Service, recogniser: Recogniser | None = None) -> bool:
    """Whether there is a recogniser or, for words that a checkpoint knows, pocketsphinx to listen."""
    return recogniser is not None or (service.understands() and importlib.util.find_spec("pocketsphinx") is not None)


def build(builder: TabBuilder, prompt: gr.Textbox) -> None:
    """Lay out the microphone, with the endpoint `/hear`."""
    if not available(builder.service, builder.recogniser):
        return
    with gr.Accordion(builder.say("Speak", "说出来"), open=False, elem_id="speak") as speak:
        options = {"js_on_load": None, "elem_id": "speaking", "apply_default_css": False}
        # What a speech model of somebody's own hears, its owner knows.
        gr.HTML("", html_template=SPEAK, **options, most=MOST_SECONDS, english=builder.recogniser is None)
        voice = OwnVoice(
            label=builder.say("Recording", "录音"),
            sources=["microphone", "upload"],
            type="filepath",
            buttons=[],
            editable=False,
            elem_id="microphone",
            elem_classes="own-voice",
        )
        line = TranscriptLine()
    speak.expand(None, None, None, js=ASK, **HERE)
    voice.start_recording(None, None, None, js=STOP_IN_TIME, **HERE)
    voice.stop_recording(None, None, None, js=STOPPED, **HERE)
    # Not "input", which also tells that the box was emptied, as when "Upload" is chosen instead of the microphone.
    whole = [voice.stop_recording, voice.upload]
    begun = gr.on(whole, None, None, line, js=f"() => ({BEGIN})", **HERE)
    # One at a time: a recogniser takes a whole core. What comes meanwhile waits; "once" would drop it.
    options = {"api_name": "hear", "concurrency_limit": 1, "show_progress": "hidden", "trigger_mode": "multiple"}
    heard = begun.then(described(_hearing(builder)), [voice, prompt, builder.checkpoint], [prompt, line], **options)
    heard.failure(None, line, line, js=END, **HERE)
    heard.then(None, None, voice, js="() => null", **HERE)
    heard.success(None, None, None, js=CORRECT, **HERE)
    line.pick(None, None, [prompt, line], js="() => [window.picked, null]", **HERE)


def _hearing(builder: TabBuilder) -> Callable[..., Iterator[tuple[Any, dict[str, Any]]]]:
    first = builder.service.checkpoints[0]
    own = builder.recogniser
    recogniser = lru_cache(RECOGNISERS)(lambda checkpoint: own or _recogniser(builder.service, checkpoint))
    # PocketSphinx listens for what the checkpoint knows, so that nothing of it is left to be found by its sound.
    mending = lru_cache(RECOGNISERS)(lambda checkpoint: _mending(builder.service, checkpoint) if own else None)

    def words(recording: str | None, checkpoint: str) -> tuple[str, str]:
        """Return what a recording says, and what that is taken for, and delete it; Refusal says why not."""
        try:
            samples = read_recording(recording or "")
        except OSError as error:
            raise Refusal("There is no recording yet: speak, or upload one.") from error
        finally:
            if recording and recording in builder.files:  # and so it is this visitor's
                Path(recording).unlink(missing_ok=True)
                builder.files.discard(recording)
        heard, known = recogniser(checkpoint).recognise(samples).words, mending(checkpoint)
        return heard, heard if known is None else known.mended(heard)

    def hear(
        recording: str, prompt: str = "", checkpoint: str = first, request: gr.Request = None
    ) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Write down a spoken prompt of at most a minute, in English or what the server's speech model hears.

        `recording` is a sound file of nearly any format, and is deleted here once it is read. Much is misheard. Answers
        with the words, for `/text_to_image`, and a sentence with them.
        """
        try:
            heard, said = words(recording, checkpoint)
        except Refusal as refusal:
            sentence = refused(refusal, request)
            yield gr.skip(), status("refused", sentence)
            raise gr.Error(sentence, visible=False, print_exception=False) from refusal
        before = (prompt or "").strip()
        told = SAID if said == heard else TAKEN
        line = status("done", told.for_visitor(request).format(heard, said))
        yield said, line | {"before": before if before != said else ""}

    return hear


def _recogniser(service: Service, checkpoint: str) -> Recogniser:
    from dalle2.speech.sphinx import Sphinx  # only who speaks needs it

    model = _model(service, checkpoint)
    if model.interpreter is None:
        raise Refusal(f"The checkpoint {checkpoint} has no vocabulary to listen for: write the prompt.")
    return Sphinx(model.interpreter.vocabulary, model.styles)


def _mending(service: Service, checkpoint: str) -> "Mending | None":
    """Return what puts words right that sound like something known; None where the checkpoint has no vocabulary."""
    from dalle2.speech.mending import Mending

    if not service.understands():
        return None
    model = _model(service, checkpoint)
    return None if model.interpreter is None else Mending.of(model.interpreter, model.styles)


def _model(service: Service, checkpoint: str) -> Any:
    with service.lease(checkpoint) as lease:
        lease.wait()
        return service.model(service.offer(checkpoint).name)

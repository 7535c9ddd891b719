"""A microphone beside a prompt: what was said stands in the prompt's box, to be corrected before it is drawn."""

import importlib.util
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

from dalle2.serving.refusal import Refusal
from dalle2.serving.service import Service
from dalle2.speech.heard import Recogniser
from dalle2.speech.recording import read_recording
from dalle2.speech.sphinx import Sphinx
from demo.gradio_internals import drawn_by_parent
from demo.interface import described
from demo.language import refused
from demo.tab_builder import TabBuilder

# Gradio's own recorder says only in its device list that there is no microphone, or none that may be used.
ASK = """() => {
  const zh = navigator.language.startsWith("zh");
  const tell = text => document.querySelector("#microphone-note").textContent = text;
  if (!navigator.mediaDevices) return tell(zh ? "浏览器只在 HTTPS 或本机页面上允许用麦克风。"
    : "Browsers give a page the microphone only over HTTPS, or on your own machine.");
  navigator.mediaDevices.getUserMedia({audio: true}).then(stream => {
    stream.getTracks().forEach(track => track.stop());
    tell("");
  }).catch(error => tell(error.name === "NotFoundError"
    ? (zh ? "没有找到麦克风：请接上一个，或上传录音。" : "There is no microphone: connect one, or upload a recording.")
    : (zh ? "麦克风未获许可：请在浏览器地址栏里允许，或上传录音。"
      : "The microphone is not allowed: allow it beside the browser's address, or upload a recording.")));
}"""


@drawn_by_parent
class OwnVoice(gr.Audio):
    """A visitor's recording, spoken here or uploaded. Its value is the file's path, which nobody has decoded yet."""

    def preprocess(self, payload: Any) -> str | None:
        return payload.path if payload else None


def available(service: Service) -> bool:
    """Whether there is something to hear for, and pocketsphinx to hear with."""
    return service.understands() and importlib.util.find_spec("pocketsphinx") is not None


def build(builder: TabBuilder, prompt: gr.Textbox) -> None:
    """Lay out the microphone, with the endpoint `/hear`."""
    if not available(builder.service):
        return
    first = builder.service.checkpoints[0]
    with gr.Accordion(builder.say("Speak", "说出来"), open=False, elem_id="speak") as speak:
        voice = OwnVoice(
            label=builder.say("Say in English what the picture should show", "用英语说出想画什么"),
            sources=["microphone", "upload"],
            type="filepath",
            buttons=[],
            elem_id="microphone",
        )
        gr.HTML("<p id='microphone-note' role='status'></p>", js_on_load=None)
    hearing = _Hearing(builder.service)

    def hear(recording: str, checkpoint: str = first, request: gr.Request = None) -> str:
        """Write down a spoken prompt of at most a minute, in English, for `/text_to_image`.

        `recording` is a sound file of nearly any format. Only what the checkpoint knows is expected.
        """
        try:
            return hearing.words(recording, checkpoint)
        except ValueError as refusal:
            raise gr.Error(refused(refusal, request), print_exception=False) from refusal

    speak.expand(None, None, None, js=ASK, queue=False, show_progress="hidden", api_visibility="private")
    inputs = [voice, builder.checkpoint]
    heard = voice.input(described(hear), inputs, prompt, api_name="hear", concurrency_limit=1, show_progress="minimal")
    heard.success(None, None, None, js="() => document.querySelector('#prompt textarea').focus()", queue=False)


class _Hearing:
    """A recogniser for each checkpoint, made when it is first spoken to."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._making = threading.Lock()
        self._of = lru_cache(maxsize=4)(self._made)

    def words(self, recording: str | None, checkpoint: str) -> str:
        """Return what a recording says; ValueError, one of which is Refusal, says why not."""
        if not recording or not Path(recording).is_file():
            raise Refusal("There is no recording yet: speak, or upload one.")
        samples = read_recording(recording)
        with self._making:
            recogniser = self._of(checkpoint)
        return recogniser.recognise(samples).words

    def _made(self, checkpoint: str) -> Recogniser:
        model = self._service.model(checkpoint)
        if model.interpreter is None:
            raise Refusal(f"The checkpoint {checkpoint} has no vocabulary to listen for: write the prompt.")
        return Sphinx(model.interpreter.vocabulary, model.styles)

"""Where visitors and the model meet: one turn at a time, steps as a stream, cancelling, limits, errors as sentences.

The only room of the page that knows dalle2. It knows nothing of Gradio.
"""

import dataclasses
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import torch
from PIL import Image

from dalle2.families import load
from dalle2.model import UnclipModel
from dalle2.settings import MAX_PROMPT_CHARACTERS, MAX_SEED, OnStep, Settings, Step, check_prompt, check_seed

__all__ = [
    "MAX_GUIDANCE",
    "MAX_PICTURES",
    "MAX_PROMPT_CHARACTERS",
    "MAX_STEPS",
    "Drawing",
    "Refusal",
    "Studio",
]

# What one visitor may ask of a machine that others wait for; the model itself allows more.
MAX_PICTURES = 8
MAX_STEPS = 100
MAX_GUIDANCE = 20.0

STAGES = ("prior", "decoder", "upsampler")
PREVIEW_SECONDS = 0.4  # between two previews: more often would only load the line
TICK_SECONDS = 0.5  # the longest silence, so that a stream can be closed also during a long step

log = logging.getLogger(__name__)


class Refusal(Exception):
    """What a visitor asked cannot be done; the message is one sentence that says what to do."""


class Cancelled(Exception):
    """Nobody waits for these pictures any more."""


@dataclass(frozen=True)
class Drawing:
    """How far a request is: each stage's steps done and in all, and the pictures so far.

    `stages` is (name, done, total) in the order in which they run, all 0 while another visitor has the turn;
    `pictures` is empty until the decoder's first step, previews after it, and the results once `finished`.
    """

    seeds: tuple[int, ...]
    stages: tuple[tuple[str, int, int], ...]
    pictures: tuple[Image.Image, ...] = ()
    finished: bool = False

    def after(self, step: Step, pictures: Sequence[Image.Image]) -> "Drawing":
        """The same drawing one step later; without new pictures it keeps the ones it has."""
        stages = tuple((name, step.index if name == step.stage else done, total) for name, done, total in self.stages)
        return dataclasses.replace(self, stages=stages, pictures=tuple(pictures) or self.pictures)


class Studio:
    """One model and its one turn."""

    def __init__(self, model: UnclipModel) -> None:
        self.model = model
        self._turn = threading.Lock()

    @classmethod
    def open(cls, checkpoint: str | None = None) -> "Studio":
        """Load a checkpoint (folder, hub id or id@revision; None: the embedded one) onto the GPU if there is one.

        ValueError says what is wrong with it.
        """
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(load(checkpoint, device) if checkpoint else load(device=device))

    def settings(self, steps: tuple[int, int, int], prior_guidance: float, decoder_guidance: float) -> Settings:
        """The checkpoint's settings with these steps (prior, decoder, upsampler) and guidance scales.

        Refusal when a value is out of range.
        """
        guidance = (prior_guidance, decoder_guidance, self.model.settings.upsampler.guidance_scale)
        stages = {}
        for name, count, scale in zip(STAGES, steps, guidance, strict=True):
            default = getattr(self.model.settings, name)
            try:
                stages[name] = dataclasses.replace(default, num_inference_steps=count, guidance_scale=scale)
            except ValueError as error:
                raise Refusal(f"The {name}'s {error}") from error
            if count > MAX_STEPS:
                raise Refusal(f"The {name} takes at most {MAX_STEPS} steps here, not {count}.")
            if scale > MAX_GUIDANCE:
                raise Refusal(f"The {name} takes at most a guidance of {MAX_GUIDANCE:g} here, not {scale:g}.")
        return Settings(**stages)

    def text_to_image(self, prompt: str, seed: int | None, count: int, settings: Settings) -> Iterator[Drawing]:
        """Draw `count` pictures, whose seeds count up from `seed`; None picks one at random.

        Closing the iterator cancels within a step. Refusal when the request is out of range or cannot be drawn.
        """
        try:
            prompt = check_prompt(prompt)
            seeds = _seeds(seed, count)
        except ValueError as error:
            raise Refusal(str(error)) from error
        stages = tuple((name, 0, getattr(settings, name).num_inference_steps) for name in STAGES)
        yield from self._stream(
            Drawing(seeds, stages),
            lambda on_step: self.model.text_to_image([prompt] * count, seeds, settings, on_step),
        )

    def _stream(self, drawing: Drawing, task: Callable[[OnStep], Sequence[Image.Image]]) -> Iterator[Drawing]:
        """Run the task in a thread; what it reports comes out here, at least every TICK_SECONDS."""
        news: SimpleQueue[Drawing | Exception] = SimpleQueue()
        closed = threading.Event()
        threading.Thread(target=self._work, args=(drawing, task, news.put, closed), daemon=True).start()
        try:
            while not drawing.finished:
                yield drawing
                drawing = _newest(news, drawing)
            yield drawing
        finally:
            # The thread keeps the turn until its step is done: no two requests are ever on the accelerator.
            closed.set()

    def _work(
        self,
        drawing: Drawing,
        task: Callable[[OnStep], Sequence[Image.Image]],
        tell: Callable[[Drawing | Exception], None],
        closed: threading.Event,
    ) -> None:
        preview_due = 0.0

        def on_step(step: Step) -> None:
            nonlocal drawing, preview_due
            if closed.is_set():
                raise Cancelled
            shown: Sequence[Image.Image] = ()
            if time.monotonic() >= preview_due:
                shown = step.pictures()
                preview_due = time.monotonic() + PREVIEW_SECONDS if shown else 0.0
            drawing = drawing.after(step, shown)
            tell(drawing)

        try:
            with self._turn:
                if closed.is_set():
                    return
                pictures = task(on_step)
            tell(dataclasses.replace(drawing, pictures=tuple(pictures), finished=True))
        except Cancelled:
            pass
        except Exception as error:
            tell(_refusal(error))


def _seeds(first: int | None, count: int) -> tuple[int, ...]:
    """ValueError unless there are 1..MAX_PICTURES seeds, all in range."""
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_PICTURES:
        raise ValueError(f"Ask for 1 to {MAX_PICTURES} pictures, not {count!r}.")
    if first is None:
        first = random.randint(0, MAX_SEED - count + 1)
    if check_seed(first) > MAX_SEED - count + 1:
        raise ValueError(
            f"Seeds count up from picture to picture: for {count}, start at {MAX_SEED - count + 1} at most."
        )
    return tuple(range(first, first + count))


def _newest(news: SimpleQueue, drawing: Drawing) -> Drawing:
    """The last that was told, skipping what came between; the same drawing again after TICK_SECONDS of silence."""
    try:
        told = news.get(timeout=TICK_SECONDS)
        while not (isinstance(told, Exception) or news.empty()):
            told = news.get()
    except Empty:
        return drawing
    if isinstance(told, Exception):
        raise told
    return told


def _refusal(error: Exception) -> Refusal:
    """Any error as a sentence; one that is a fault of ours goes to the log as well."""
    match error:
        case ValueError():
            return Refusal(str(error))
        case torch.OutOfMemoryError() | MemoryError():
            log.warning("Out of memory while drawing: %s", error)
            return Refusal("There is not enough memory for so many pictures at once: ask for fewer.")
        case _:
            log.error("Drawing failed", exc_info=error)
            return Refusal("Something went wrong while drawing, and the server's log says what: please try again.")

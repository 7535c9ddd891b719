"""Where visitors and the models meet: one turn at a time, steps as a stream, cancelling, limits, errors as sentences.

The only room of the page that knows dalle2. It knows nothing of Gradio.
"""

import contextlib
import dataclasses
import json
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import torch
from PIL import Image

from dalle2 import formats, images
from dalle2.families import EMBEDDED, load
from dalle2.film import save_film
from dalle2.model import UnclipModel
from dalle2.settings import (
    MAX_PROMPT_CHARACTERS,
    MAX_SEED,
    SCHEDULERS,
    SIZES,
    STAGES,
    STRENGTHS,
    OnStep,
    Settings,
    StageSettings,
    Step,
    check_prompt,
    check_seed,
)
from dalle2.tasks.drawing import draw_understood
from dalle2.tasks.enlarging import check_side
from dalle2.understanding.answer import Understanding, literal
from dalle2.understanding.sentences import sentence
from demo.line import Line, Pace, Place, Turn, job_of

__all__ = [
    "ENHANCING",
    "FORMS",
    "FREE",
    "FROM_PICTURE",
    "MAX_CANDIDATES",
    "MAX_FRAMES",
    "MAX_GUIDANCE",
    "MAX_PICTURES",
    "MAX_PROMPT_CHARACTERS",
    "MAX_SEED",
    "MAX_STEPS",
    "MAX_UPLOAD_BYTES",
    "PRESETS",
    "REPAINTING",
    "RETRACING",
    "REWORDING",
    "SCHEDULERS",
    "SIZES",
    "STAGES",
    "STRENGTHS",
    "Drawing",
    "Manner",
    "Refusal",
    "Studio",
    "Understanding",
    "check_enlarging",
    "draw_understood",
    "in_form",
    "open_mask",
    "open_own",
    "open_picture",
    "read_record",
    "save_film",
    "sentence",
    "words",
]

# What one visitor may ask of a machine that others wait for; the model itself allows more.
MAX_PICTURES = 8
MAX_FRAMES = 24
MAX_STEPS = 100
MAX_GUIDANCE = 20.0
MAX_CANDIDATES = 4
MAX_TIMES = 10  # that each step is taken
# In which pictures can be taken away: of one picture, of several, of a film's frames.
FORMS = ("png", "512", "1024", "transparent", "svg", "zip", "sheet", "strip", "gif", "mp4")
MAX_UPLOAD_BYTES = 20_000_000
WAITING_VISITORS = 30

# Times the checkpoint's own numbers of steps; a draft of a task that cannot do with four is only a faster one.
DRAFT = "draft"
PRESETS = {DRAFT: 0.25, "fast": 0.5, "default": 1.0, "best": 2.5}
PREVIEW_SECONDS = 0.4  # between two previews: more often would only load the line
TICK_SECONDS = 0.5  # the longest silence, so that a stream can be closed also during a long step

# What is drawn in a turn: (model, seeds, settings, on_step) -> pictures.
Task = Callable[[UnclipModel, Sequence[int], Settings, OnStep], Sequence[Image.Image]]

log = logging.getLogger(__name__)


class Card(NamedTuple):
    """What a checkpoint's card says: Markdown, and the name of the licence."""

    text: str = ""
    licence: str = ""


class Refusal(Exception):
    """What a visitor asked cannot be done; the message is one sentence that says what to do."""


class Cancelled(Exception):
    """Nobody waits for these pictures any more."""


@dataclass(frozen=True)
class Manner:
    """How a task goes about it: which stages run, in this order, and what the settings are adapted to.

    `adapted` is "retracing", "rewording", "repainting" (see `Settings`) or "", which leaves them as the checkpoint has
    them. Tasks of one `kind` and manner take equally long.
    """

    stages: tuple[str, ...] = STAGES
    adapted: str = ""
    kind: str = ""

    def from_picture(self) -> "Manner":
        """The same where the content comes from a picture, so that the prior has nothing to do."""
        return dataclasses.replace(self, stages=tuple(name for name in self.stages if name != "prior"))

    def own(self, settings: Settings) -> Settings:
        """A checkpoint's settings as this task needs them."""
        match self.adapted:
            case "retracing":
                return settings.retracing()
            case "rewording":
                return settings.rewording()
            case "repainting":
                return settings.repainting()
        return settings


FREE = Manner()
FROM_PICTURE = FREE.from_picture()
RETRACING = Manner(("inversion", "decoder", "upsampler"), "retracing")
REWORDING = dataclasses.replace(RETRACING, adapted="rewording")
REPAINTING = Manner(adapted="repainting")
ENHANCING = Manner(("upsampler",))


@dataclass(frozen=True)
class Drawing:
    """How far a request is: each stage's steps done and in all, and the pictures so far.

    `stages` is (name, done, total) in the order in which they run. `ahead` counts the visitors to wait for, 0 when
    the turn is ours. `seconds_left` is an estimate, None before there is any experience. `pictures` is empty until
    the decoder's first step, previews after it, and the results once `finished`; a description has `captions` with
    their scores then, and no pictures.
    """

    seeds: tuple[int, ...]
    stages: tuple[tuple[str, int, int], ...]
    pictures: tuple[Image.Image, ...] = ()
    captions: tuple[tuple[str, float], ...] = ()
    ahead: int = 0
    seconds_left: float | None = None
    finished: bool = False

    def after(self, step: Step, pictures: Sequence[Image.Image]) -> "Drawing":
        """The same drawing one step later; without new pictures it keeps the ones it has."""
        stages = tuple((step.stage, step.index, step.total) if row[0] == step.stage else row for row in self.stages)
        return dataclasses.replace(self, stages=stages, pictures=tuple(pictures) or self.pictures, ahead=0)


class Studio:
    """The models of one machine, and its one turn."""

    def __init__(
        self,
        *models: UnclipModel,
        cards: Mapping[str, Card] | None = None,
        folders: Mapping[str, Path] | None = None,
    ) -> None:
        self._models = {model.checkpoint: model for model in models}
        self._cards = cards or {}
        self._folders = folders or {}
        self._line = Line(WAITING_VISITORS)
        self._pace = Pace()

    @classmethod
    def open(cls, *checkpoints: str) -> "Studio":
        """Load checkpoints (folder, hub id or id@revision; none: the embedded one) onto the GPU if there is one.

        ValueError says what is wrong with one.
        """
        device = "cuda" if torch.cuda.is_available() else "cpu"
        models, cards, folders = [], {}, {}
        for source in checkpoints or (EMBEDDED.name,):
            model = load(source, device)
            folder = EMBEDDED if model.checkpoint == EMBEDDED.name else Path(source).expanduser()
            if folder.is_dir():
                # Records and pages are public, and where the server keeps its files is nobody's business.
                model.checkpoint = folder.resolve().name
                folders[model.checkpoint] = folder
            cards[model.checkpoint] = _card(folder)
            models.append(model)
        if len(cards) < len(models):
            raise ValueError("Two checkpoints have the same name: give each a folder of another name.")
        return cls(*models, cards=cards, folders=folders)

    @property
    def checkpoints(self) -> tuple[str, ...]:
        """The names that `checkpoint` takes; the first one is the default."""
        return tuple(self._models)

    def model(self, checkpoint: str | None = None) -> UnclipModel:
        """What a tab may ask a checkpoint: its styles, examples, capabilities. Refusal for a name that is not open."""
        name = self.checkpoints[0] if checkpoint is None else checkpoint
        if not isinstance(name, str) or name not in self._models:
            raise Refusal(f"There is no checkpoint {name!r} here: choose one of {', '.join(self.checkpoints)}.")
        return self._models[name]

    def can(self, task: str) -> bool:
        """Whether any of the checkpoints is able to do it."""
        return any(task in model.capabilities for model in self._models.values())

    def card(self, checkpoint: str) -> str:
        """The checkpoint's model card, Markdown without its front matter; "" when it has none."""
        return self._cards.get(checkpoint, Card()).text

    def licence(self, checkpoint: str) -> str:
        """Of what it draws, as "CC BY-SA 4.0"; "" when its card names none."""
        return self._cards.get(checkpoint, Card()).licence

    def samples(self, checkpoint: str) -> tuple[Path, Mapping[str, Any]] | None:
        """The checkpoint's folder of samples with its index; None without one, or when other weights drew it."""
        index = self._folders.get(checkpoint, Path()) / "samples" / "index.json"
        if checkpoint not in self._folders or not index.is_file():
            return None
        values = json.loads(index.read_text(encoding="utf-8"))
        # A click must draw the picture that it shows.
        if values["checkpoint_hash"] == self.model(checkpoint).checkpoint_hash:
            return index.parent, values
        log.warning("%s is of other weights and is not shown: run python -m benchmarks.wall", index.parent)
        return None

    def understands(self) -> bool:
        """Whether any of the checkpoints looks for the meaning of prompts."""
        return any(model.interpreter is not None for model in self._models.values())

    def understand(self, prompt: str, checkpoint: str | None = None, very_words: bool = False) -> Understanding:
        """What the checkpoint takes a prompt for; Refusal when it is none."""
        said, model = words(prompt), self.model(checkpoint)
        try:
            return literal(said) if very_words else model.understand(said)
        except ValueError as error:
            raise Refusal(str(error)) from error

    def settings(
        self,
        chosen: str | Mapping[str, Mapping[str, object]] = "default",
        checkpoint: str | None = None,
        manner: Manner = FREE,
    ) -> Settings:
        """A preset's settings, or the checkpoint's own with what `chosen` changes, in the shape of a record.

        Both as the task needs them. Refusal when a value is out of range.
        """
        own = manner.own(self.model(checkpoint).settings)
        if isinstance(chosen, str):
            if chosen not in PRESETS:
                raise Refusal(f"There are no settings {chosen!r}: choose one of {', '.join(PRESETS)}, or give a table.")
            if chosen == DRAFT and not manner.adapted:
                return own.drafting()
            return _preset(own, PRESETS[chosen])
        table = dict(chosen) if isinstance(chosen, Mapping) else {"": chosen}
        changes = {name: stage for name, stage in table.items() if name != "negative_prompt"}
        if not all(isinstance(stage, Mapping) for stage in changes.values()):
            raise Refusal("The settings must be a table with a table for each stage, as in a picture's record.")
        values = own.to_dict()
        try:
            stages = {name: values.get(name, {}) | dict(stage) for name, stage in changes.items()}
            settings = Settings.from_dict(values | table | stages)
        except ValueError as error:
            raise Refusal(f"These settings cannot be used: {error}") from error
        if manner.adapted == "retracing":
            # The record of a picture that kept some freedom says how much; that is asked for beside the settings.
            settings = dataclasses.replace(settings, decoder=dataclasses.replace(settings.decoder, eta=0.0))
        _check_bounds(settings)
        return settings

    def steps(
        self,
        chosen: str | Mapping[str, Mapping[str, object]],
        count: int,
        checkpoint: str | None = None,
        manner: Manner = FREE,
    ) -> int:
        """How many network steps so many pictures take with these settings; Refusal when there is no such thing."""
        settings = self.settings(chosen, checkpoint, manner)
        if isinstance(count, bool) or not isinstance(count, int):
            raise Refusal(f"Ask for 1 to {MAX_PICTURES} pictures, not {count!r}.")
        rows = [getattr(settings, "decoder" if name == "inversion" else name) for name in manner.stages]
        return count * sum(row.num_inference_steps * row.times * row.candidates for row in rows)

    def draw(
        self,
        task: Task,
        seed: int | None,
        count: int,
        settings: str | Mapping[str, Mapping[str, object]] = "default",
        checkpoint: str | None = None,
        most: int = MAX_PICTURES,
        manner: Manner = FREE,
    ) -> Iterator[Drawing]:
        """Run `task` when it is our turn, with `count` seeds that count up from `seed`; None picks one at random.

        Closing the iterator cancels within a step. Refusal when the request is out of range, cannot be drawn, or
        comes when too many wait already. `most` bounds the count; `manner` is the task's.
        """
        model = self.model(checkpoint)
        chosen = self.settings(settings, checkpoint, manner)
        try:
            chosen.negated(manner.stages)
            seeds = _seeds(seed, count, most)
        except ValueError as error:
            raise Refusal(str(error)) from error
        # The way back takes the decoder's steps.
        rows = {name: getattr(chosen, "decoder" if name == "inversion" else name) for name in manner.stages}
        stages = tuple((name, 0, stage.num_inference_steps) for name, stage in rows.items())
        kind = f"{model.checkpoint} {manner.kind or manner.adapted} {' '.join(manner.stages)}"
        turn = Turn(job_of(kind, stages, len(seeds)), self._pace)
        yield from self._stream(Drawing(seeds, stages), turn, lambda on_step: task(model, seeds, chosen, on_step))

    def describe(self, picture: Image.Image, num: int, checkpoint: str | None = None) -> Iterator[Drawing]:
        """The captions that are nearest to the picture, when it is our turn; Refusal as by `draw`."""
        model = self.model(checkpoint)

        def task(_: OnStep) -> list[tuple[str, float]]:
            return [(one.caption, one.score) for one in model.caption([picture], num)[0]]

        turn = Turn(job_of(f"{model.checkpoint} captions", (), 1), self._pace)
        yield from self._stream(Drawing((), ()), turn, task, "captions")

    def _stream(
        self, drawing: Drawing, turn: Turn, task: Callable[[OnStep], Sequence[Any]], result: str = "pictures"
    ) -> Iterator[Drawing]:
        """Wait for the turn, then run the task in a thread; what it reports comes out, at least every TICK_SECONDS.

        `result` is the drawing's field for what the task returns.
        """
        place = self._line.join(turn)
        if place is None:
            raise Refusal("Many visitors are waiting already: please try again in a minute.")
        try:
            while ahead := place.ahead():
                yield dataclasses.replace(drawing, ahead=ahead, seconds_left=place.seconds_left())
                place.wait(TICK_SECONDS)
            news: SimpleQueue[Drawing | Exception] = SimpleQueue()
            closed = threading.Event()
            work = (drawing, turn, task, result, news.put, closed, place)
            threading.Thread(target=self._work, args=work, daemon=True).start()
        except BaseException:
            place.leave()
            raise
        try:
            while not drawing.finished:
                yield dataclasses.replace(drawing, seconds_left=turn.left())
                drawing = _newest(news, drawing)
            yield drawing
        finally:
            # The thread keeps the turn until its step is done: no two requests are ever on the accelerator.
            closed.set()

    def _work(
        self,
        drawing: Drawing,
        turn: Turn,
        task: Callable[[OnStep], Sequence[Any]],
        result: str,
        tell: Callable[[Drawing | Exception], None],
        closed: threading.Event,
        place: Place,
    ) -> None:
        preview_due = 0.0
        turn.begin()

        def on_step(step: Step) -> None:
            nonlocal drawing, preview_due
            if closed.is_set():
                raise Cancelled
            shown: Sequence[Image.Image] = ()
            if time.monotonic() >= preview_due:
                shown = step.pictures()
                preview_due = time.monotonic() + PREVIEW_SECONDS if shown else 0.0
            drawing = drawing.after(step, shown)
            turn.step(step.stage, step.index)
            tell(drawing)

        try:
            found = {result: tuple(task(on_step))}
            turn.end()
            tell(dataclasses.replace(drawing, **found, seconds_left=0.0, finished=True))
        except Cancelled:
            pass
        except Exception as error:
            tell(_refusal(error))
        finally:
            place.leave()


def words(prompt: str, needed: bool = True) -> str:
    """The prompt without the blanks around it; Refusal when it cannot be drawn, or is empty although `needed`."""
    if not needed and not (isinstance(prompt, str) and prompt.strip()):
        return ""
    try:
        return check_prompt(prompt)
    except ValueError as error:
        raise Refusal(str(error)) from error


def open_picture(path: str | None) -> Image.Image:
    """A visitor's picture, upright, without its metadata; checked by size, content and pixels before decoding.

    Refusal says what is wrong with it.
    """
    if not path:
        raise Refusal("There is no picture yet: choose, drop or paste one.")
    try:
        _check_bytes(path)
        return images.open_picture(path)
    except ValueError as error:
        raise Refusal(str(error)) from error
    except OSError as error:
        raise Refusal("The picture is not on the server any more: choose it again.") from error


def open_mask(path: str | None, picture: Image.Image) -> Image.Image:
    """Where this picture is to be repainted: white in a mask of the same size, or in a square of any size, which

    then stands for the picture's middle square. Refusal says what is wrong with it.
    """
    if not path:
        raise Refusal("Nothing is marked yet: paint over what shall change.")
    try:
        _check_bytes(path)
        mask = images.open_mask(path)
    except ValueError as error:
        raise Refusal(str(error)) from error
    except OSError as error:
        raise Refusal("The mask is not on the server any more: paint it again.") from error
    if not mask.getextrema()[1]:
        raise Refusal("Nothing is marked yet: paint over what shall change.")
    if mask.size == picture.size or mask.width != mask.height:
        return mask
    side = min(picture.size)
    whole = Image.new("L", picture.size)
    whole.paste(mask.resize((side, side)), ((picture.width - side) // 2, (picture.height - side) // 2))
    return whole


def open_own(path: str) -> Image.Image:
    """As `open_picture`, but a picture that was drawn here keeps its record."""
    picture = open_picture(path)
    with contextlib.suppress(Refusal):
        images.write_record(picture, read_record(path))
    return picture


def check_enlarging(model: UnclipModel, picture: Image.Image, side: int) -> None:
    """Refusal unless the checkpoint can make the picture larger, to `side` pixels."""
    try:
        check_side(side, min(picture.size), model.picture_size)
    except ValueError as error:
        raise Refusal(str(error)) from error


def in_form(named: Sequence[tuple[str, Image.Image]], form: str) -> tuple[str, bytes]:
    """(name, picture) pairs -> a file's name and content; `form` is one of FORMS, those of one picture take the first.

    Refusal for a form that there is not, or that does not suit the picture.
    """
    name, first = named[0]
    pictures = [picture for _, picture in named]
    try:
        match form:
            case "png" | "512" | "1024":
                return f"{name}-{first.width}.png", formats.png(first)
            case "transparent":
                return f"{name}-transparent.png", formats.png(formats.transparent(first))
            case "svg":
                return f"{name}.svg", formats.to_svg(first).encode()
            case "zip":
                return "pictures.zip", formats.to_zip(named)
            case "sheet":
                return "contact-sheet.png", formats.png(formats.contact_sheet(pictures))
            case "strip":
                return f"{name}-strip.png", formats.png(images.strip(pictures))
    except ValueError as error:
        raise Refusal(str(error)) from error
    raise Refusal(f"There is no form {form}: choose one of {', '.join(FORMS)}.")


def read_record(picture: str | Image.Image) -> dict[str, object]:
    """The record that a PNG carries; Refusal when it has none."""
    try:
        return images.read_record(picture)
    except ValueError as error:
        # The message may begin with the file's path on the server.
        raise Refusal(str(error).replace(str(picture), "This file")) from error
    except OSError as error:
        raise Refusal("The picture is damaged and cannot be read to its end: choose another one.") from error


def _check_bytes(path: str) -> None:
    if Path(path).stat().st_size > MAX_UPLOAD_BYTES:
        raise Refusal(f"The picture's file is larger than {MAX_UPLOAD_BYTES // 1_000_000} MB: make it smaller.")


def _preset(own: Settings, factor: float) -> Settings:
    stages = {}
    for name in STAGES:
        stage: StageSettings = getattr(own, name)
        steps = min(max(round(stage.num_inference_steps * factor), 1), MAX_STEPS)
        stages[name] = dataclasses.replace(stage, num_inference_steps=steps)
    return dataclasses.replace(own, **stages)


def _check_bounds(settings: Settings) -> None:
    for name in STAGES:
        stage: StageSettings = getattr(settings, name)
        if stage.num_inference_steps > MAX_STEPS:
            raise Refusal(f"The {name} takes at most {MAX_STEPS} steps here, not {stage.num_inference_steps}.")
        if stage.guidance_scale > MAX_GUIDANCE:
            raise Refusal(f"The {name} takes at most a guidance of {MAX_GUIDANCE:g} here, not {stage.guidance_scale}.")
        if stage.times > MAX_TIMES:
            raise Refusal(f"The {name} takes each step at most {MAX_TIMES} times here, not {stage.times}.")
        if stage.candidates > MAX_CANDIDATES:
            raise Refusal(f"The {name} draws at most {MAX_CANDIDATES} candidates here, not {stage.candidates}.")


def _seeds(first: int | None, count: int, most: int) -> tuple[int, ...]:
    """ValueError unless there are 1..most seeds, all in range."""
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= most:
        raise ValueError(f"Ask for 1 to {most} pictures, not {count!r}.")
    if first is None:
        first = random.randint(0, MAX_SEED - count + 1)
    if check_seed(first) > MAX_SEED - count + 1:
        raise ValueError(
            f"Seeds count up from picture to picture: for {count}, start at {MAX_SEED - count + 1} at most."
        )
    return tuple(range(first, first + count))


def _card(folder: Path) -> Card:
    """The folder's README.md without the front matter, which names the licence, and its LICENCES.md below."""
    files = [folder / name for name in ("README.md", "LICENCES.md")]
    texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    front = ""
    if texts and texts[0].startswith("---\n"):
        front, _, texts[0] = texts[0].partition("\n---\n")
    named = re.search(r"^license: *(\S+)", front, re.MULTILINE)
    licence = re.sub(r"^CC-(.+)-(\d\.\d)$", r"CC \1 \2", named[1].upper()) if named else ""
    return Card("\n\n".join(texts), licence)


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
        case Refusal():
            return error
        case ValueError():
            return Refusal(str(error))
        case torch.OutOfMemoryError() | MemoryError():
            log.warning("Out of memory while drawing: %s", error)
            return Refusal("There is not enough memory for so many pictures at once: ask for fewer.")
        case _:
            log.error("Drawing failed", exc_info=error)
            return Refusal("Something went wrong while drawing, and the server's log says what: please try again.")

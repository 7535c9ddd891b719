"""What all tabs work with: the service, the words, results that can be handed on, and drawing with progress."""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import wraps
from typing import Any

import gradio as gr

from dalle2.requests import Request
from dalle2.serving.api.streams import checked
from dalle2.serving.limits import MAX_PICTURES
from dalle2.serving.refusal import Busy, Refusal
from dalle2.serving.service import Service
from dalle2.serving.uploads import open_picture
from dalle2.speech.transcript import Recogniser
from dalle2.tasks.text_to_image import ANY_PROMPT
from dalle2.understanding.answer import Understanding
from demo.answers import Answer, Order, answers, drawn
from demo.brush import Brush
from demo.choices import Choices
from demo.facts import Facts
from demo.gradio_internals import Page, set_prop, update_props
from demo.hints import Hint
from demo.inputs import OwnPicture, WholeNumber
from demo.interface import described
from demo.language import Bilingual, Words, hours, refused
from demo.limits import Limits
from demo.parcels import DELIVER, NOTED
from demo.pictures import Pictures
from demo.status import HINT, STOPPED, Status, end, status
from demo.understood import Understood
from demo.zero import accelerated

DEFAULT_PICTURES = 4
# Answered by the page alone, without the server.
HERE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
BEGIN = json.dumps(status("working", "…"))
END = end(STOPPED)
# What was picked takes the place of the words that it is offered for.
PICK = "(...now) => now.map(text => (text ?? '').trim() === window.pickedFor ? window.picked : text)"


@dataclass(frozen=True)
class Destination:
    """Where a result can go: to a tab, into its widgets.

    `widgets` are pairs of a widget and where its new value lies in the parcel {image, caption, record, sources, given},
    as "record.seed", or "!record.asked" for whether it lacks that, or a constant that is not a string. `sources` are
    the pictures that it was made from, and `given` what its endpoint was given beside them. With `task`, only
    results of that task can go there. What is `near` is a button of its own; the others share a menu. `press` is
    the class of the tab's button that is pressed on arrival, "" for none. What `enlarges` takes pictures of checkpoints
    that draw smaller ones than the chosen one.
    """

    name: str
    tab: str
    words: Bilingual
    widgets: Sequence[tuple[gr.components.Component, Any]]
    task: str | None = None
    near: bool = False
    press: str = ""
    enlarges: bool = False

    def to_page(self) -> dict[str, Any]:
        """Return it as the templates and scripts take it."""
        widgets = [{"from": place} if isinstance(place, str) else {"is": place} for _, place in self.widgets]
        own = ("name", "tab", "task", "near", "press", "enlarges")
        return {name: getattr(self, name) for name in own} | {"widgets": widgets} | self.words._asdict()


@dataclass(frozen=True)
class Controls:
    """A task's buttons and progress line, and its options as they come in an endpoint's arguments."""

    draw: gr.Button
    stop: gr.Button
    status: Status
    sheet: gr.Button | None = None


class TabBuilder:
    """One page's service, words and results; a tab's `build(builder)` lays itself out with it."""

    def __init__(
        self, service: Service, page: Page, everyone: bool = False, recogniser: Recogniser | None = None
    ) -> None:
        self.service = service
        self.page = page
        self.recogniser = recogniser  # of spoken prompts, for all checkpoints; None for pocketsphinx
        self.say = Words()
        self.tabs: gr.Tabs
        self.checkpoint: gr.Dropdown
        self.other_checkpoints: list[gr.Dropdown] = []
        self.picker: gr.HTML
        self.arriving: Status
        every, age = page.delete_cache
        self.stay = hours(age, age + every)  # of visitors' files on the server
        self.files = page.files  # what visitors uploaded and had drawn: Gradio deletes it when it is old enough
        self.facts = Facts(service, everyone)
        self.limits = Limits()
        self._ways: list[Destination] = []
        self._senders: list[gr.HTML] = []

    def tab(self, name: str, en: str, zh: str, *tasks: str) -> AbstractContextManager:
        """Return a tab to build in, as `with builder.tab("mix", "Mix", "混合", "mix"):`; its id is "tab-<name>".

        It is there while the chosen checkpoint can do all these tasks; where none can, it is not to be built.
        """
        self.facts.tabs[name] = set(tasks).issubset
        return gr.Tab(self.say(en, zh), id=name, elem_id=f"tab-{name}")

    def task(self) -> AbstractContextManager:
        """Return the columns of a task: in it come `asking()`, `pictures()` and `options()`."""
        return gr.Column(elem_classes="task")

    def asking(self) -> AbstractContextManager:
        """Return the column of what is asked for."""
        return gr.Column(elem_classes="ask")

    def options(self) -> AbstractContextManager:
        """Return the column of what may stay as it is; on a phone it comes below the pictures."""
        return gr.Column(elem_classes="options")

    def controls(self, en: str = "Draw", zh: str = "开始绘制", sheet: bool = False) -> Controls:
        """Draw, Stop and the progress line, below what is asked for; with `sheet`, a button for all styles at once."""
        with gr.Row(elem_classes="buttons"):
            draw = gr.Button(self.say(en, zh), variant="primary", elem_classes="draw")
            all_styles = gr.Button(self.say("In all styles", "全部风格"), elem_classes="sheet") if sheet else None
            stop = gr.Button(self.say("Stop", "停止"), variant="stop", elem_classes="stop")
        return Controls(draw, stop, Status(status("idle", HINT)), all_styles)

    def pictures(
        self,
        film: bool = False,
        captioned: bool = False,
        wall: bool = False,
        compared: bool = False,
    ) -> Pictures:
        """Return a place for results, from where they can be handed on; a film that is `captioned` names each frame.

        `compared` lets a visitor draw the picture that the task started from over the result.

        With a `wall` the checkpoint's own pictures are shown before there is a result.
        """
        pictures = Pictures(
            film,
            captioned=captioned,
            wall=wall,
            checkpoint=self.checkpoint.value,
            compared=compared,
            board=f"board-{len(self._senders)}",
            files=self.files,
        )
        self.add_sender(pictures)
        return pictures

    def photograph_hint(self, en: str, zh: str) -> Hint:
        """Say beforehand what becomes of a photograph, for checkpoints that draw one kind of thing, which is `{}`."""
        return self.hint(en, zh, "subject")

    def hint(self, en: str, zh: str, fact: str) -> Hint:
        """Say something of the chosen checkpoint, with this fact of it for `{}`: see `Hint`."""
        hint = Hint(Bilingual(en, zh), fact, self.checkpoint.value)
        hint.follow(self.checkpoint, HERE)
        return hint

    def count(self, value: int = DEFAULT_PICTURES) -> gr.Slider:
        """Return how many pictures it is about."""
        return gr.Slider(
            1,
            MAX_PICTURES,
            value=value,
            step=1,
            label=self.say("Number of pictures", "图片数量"),
            buttons=[],
            elem_classes="count",
        )

    def seed(self) -> tuple[gr.Number, gr.Checkbox]:
        """Return the seed, and whether to take a random one instead."""
        with gr.Row(elem_classes="seeds"):
            seed = WholeNumber(0, label=self.say("Seed", "种子"), precision=0)
            random = gr.Checkbox(True, label=self.say("Random seed", "随机种子"), elem_classes="random-seed")
        return seed, random

    def literal(self) -> gr.Checkbox:
        """Return a switch that takes prompts as they are written; hidden where nobody understands them otherwise."""
        return gr.Checkbox(
            False,
            label=self.say("Use my prompt exactly as written", "完全按我写的文字画"),
            visible=self.service.understands(),
            elem_classes="literal",
        )

    def understood(self, tab: str, controls: Controls, prompts: Sequence[gr.Textbox]) -> None:
        """Show what the tab's prompts were taken for; a click on what else may have been meant draws that instead."""
        if not self.service.understands():
            return
        line = Understood()
        controls.status.change(
            None, controls.status, line, js="now => ({...now.understanding, line: now.text})", **HERE
        )
        inputs = list(prompts)
        picked = line.pick(None, inputs, inputs, js=PICK if len(inputs) > 1 else "() => window.picked", **HERE)
        picked.then(None, None, None, js=f"() => window.arrive({json.dumps(tab)}, 'draw')", **HERE)

    def choices(
        self,
        value: str = "default",
        checkpoint: gr.Dropdown | None = None,
        like: Request = ANY_PROMPT,
        switch: gr.Checkbox | None = None,
        switched: Request = ANY_PROMPT,
    ) -> Choices:
        """Add presets and the advanced settings of each stage, for the checkpoint of this picker or the page's.

        It offers what a request that is `like` this one leaves open; while `switch` is checked, one like `switched`.
        """
        picker = checkpoint or self.checkpoint
        choices = Choices(picker.value, value, like)
        self.facts.add_like(like)
        if switch is None:
            js = f"checkpoint => {update_props(choices, 'checkpoint')}"
            picker.change(None, picker, choices, js=js, **HERE)
            return choices
        other = json.dumps({"stages": switched.stages, "kind": self.facts.add_like(switched)})
        js = f"(checkpoint, on) => {update_props(choices, f'...(on ? {other} : {{}}), checkpoint')}"
        gr.on([picker.change, switch.change], None, [picker, switch], choices, js=js, **HERE)
        # A table for the one is none for the other.
        switch.input(None, choices, choices, js="now => typeof now === 'string' ? now : 'default'", **HERE)
        return choices

    def add_destination(self, way: Destination) -> None:
        """Offer this destination below every picture of every tab."""
        self._ways.append(way)

    def add_reuse(self, task: str, tab: str, widgets: Sequence[tuple[gr.components.Component, Any]]) -> None:
        """Offer, below the pictures of a task, to take their settings over."""
        here = [*widgets, (self.checkpoint, "record.checkpoint")]
        self.add_destination(Destination(f"reuse-{task}", tab, Bilingual("Reuse settings", "用这些设置"), here, task))

    def add_sender(self, component: gr.HTML) -> None:
        """Give the component its "send" buttons.

        It takes the ways as its prop `ways`, puts the result and the name of the chosen way into window.parcel, and
        triggers the event "send".
        """
        self._senders.append(component)

    def connect(self) -> None:
        """Let each result go to each destination, once all tabs are built."""
        # What goes for results of one task comes first: it is about the picture itself.
        ways = sorted(self._ways, key=lambda way: way.task is None)
        offered = [way.to_page() for way in ways]
        widgets = [widget for way in ways for widget, _ in way.widgets]
        for component in self._senders:
            set_prop(component, "ways", offered)
            sent = component.send(None, None, [self.tabs, *widgets], js=DELIVER % json.dumps(offered), **HERE)
            sent.then(None, None, None, js="() => window.arrive(window.parcel.tab, window.parcel.press)", **HERE)

    def draw(
        self,
        ask: Callable[[], Request],
        order: Order,
        caption: Bilingual,
        request: gr.Request | None,
        named: Callable[[Mapping[str, Any]], str] | None = None,
        numbered: str = "{} {}",
        about: Callable[[], Sequence[Understanding]] | None = None,
    ) -> Iterator[Answer]:
        """Yield what an endpoint yields that draws what `ask` makes (see `answers`), which may raise a Refusal.

        The progress line says as `understanding` what the prompts were taken for, or what `about` gives instead.
        """
        said: dict[str, Any] = {}
        said_caption = caption.for_visitor(request)
        drawings = drawn(self.service, ask, order, said, about)
        for pictures, seed, line in answers(drawings, said_caption, request, named, numbered, self.facts.title):
            yield pictures, seed, line | {"understanding": said}

    def on_draw(
        self,
        controls: Controls,
        endpoint: Any,  # a function, whose name becomes the API's
        inputs: Sequence[gr.components.Component],
        outputs: Sequence[gr.components.Component],
    ) -> None:
        """Draw calls `endpoint`, under its own name also for the API, with the progress line as last output.

        Inputs and outputs are without the checkpoint, which comes last, and the progress line.
        """
        for place in (component for component in inputs if isinstance(component, OwnPicture)):
            place.upload(_checked, [place, controls.status], [place, controls.status], **HERE)
        names = list(inspect.signature(endpoint).parameters)
        pictured = [index for index, component in enumerate(inputs) if isinstance(component, OwnPicture | Brush)]
        like = next((choices.like for choices in inputs if isinstance(choices, Choices)), ANY_PROMPT)
        begun = controls.draw.click(None, None, controls.status, js=f"() => ({BEGIN})", **HERE)
        if any(isinstance(component, Brush) for component in inputs):
            begun = begun.then(None, None, None, js="() => window.mask_sent()", **HERE)
            begun.failure(None, controls.status, controls.status, js=END, **HERE)
        for board in (component for component in outputs if isinstance(component, Pictures)):
            note = NOTED % tuple(map(json.dumps, (board.board, names[: len(inputs)], pictured)))
            begun.success(None, list(inputs), None, js=note, **HERE)
        drawn = begun.success(
            self._limited(accelerated(described(endpoint), self.service, like), len(outputs)),
            [*inputs, self.checkpoint],
            [*outputs, controls.status],
            api_name=endpoint.__name__,
            concurrency_limit=None,  # the service's queue is the one that is bounded
            show_progress="minimal",
            show_progress_on=controls.status,  # where the style sheet hides it: the progress line says more
        )
        drawn.failure(None, controls.status, controls.status, js=END, **HERE)
        controls.stop.click(None, None, None, cancels=[drawn], **HERE)

    def _limited(self, endpoint: Callable[..., Iterator[tuple]], outputs: int) -> Callable[..., Iterator[tuple]]:
        """Yield the endpoint within the limits of who asks; what is too much is refused in the progress line."""

        @wraps(endpoint)
        def called(*arguments: Any, **named: Any) -> Iterator[tuple]:
            given = (*arguments, *named.values())
            request = next((value for value in given if isinstance(value, gr.Request)), None)
            with ExitStack() as held:
                try:
                    held.enter_context(self.limits.drawing(request))
                except Busy as busy:
                    sentence = refused(busy, request)
                    yield *[gr.skip()] * outputs, status("refused", sentence)
                    raise gr.Error(sentence, visible=False, print_exception=False) from busy
                yield from endpoint(*arguments, **named)

        return called


async def _checked(path: str | None, line: dict[str, Any] | None, request: gr.Request) -> tuple[Any, Any]:
    """Refuse what cannot be opened when it is chosen, in the progress line, not only when it is drawn from."""
    try:
        await checked(open_picture, path)
    except Refusal as refusal:
        return None, status("refused", refused(refusal, request))
    return gr.skip(), status("idle", HINT) if line and line["state"] == "refused" else gr.skip()

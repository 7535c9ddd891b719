"""The tab "explain": how a picture comes about, step by step, word by word, or axis by axis of its embedding."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from dalle2.requests import ANY_PICTURE, Request
from dalle2.serving.limits import words
from dalle2.serving.refusal import Refusal
from dalle2.serving.service import Service
from dalle2.serving.uploads import open_picture
from dalle2.settings import MAX_PROMPT_CHARACTERS
from dalle2.tasks.attention import Attention
from dalle2.tasks.caption import Caption
from dalle2.tasks.dimensions import Dimensions
from dalle2.tasks.steps import Steps
from dalle2.tasks.tour import Tour
from demo.answers import Answer, Order
from demo.inputs import OwnPicture
from demo.language import Bilingual, refused
from demo.status import STAGE, loading, progress, status
from demo.tab_builder import HERE, Destination, TabBuilder
from demo.zero import accelerated

TOLD = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
MAX_CAPTIONS = 20
AXES = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)
ASKED = {
    "tour": Bilingual("How does it work? From your words to the picture", "它是怎样工作的？从文字到图片"),
    "steps": Bilingual("What is predicted at each denoising step?", "每个去噪步骤预测出什么？"),
    "attention": Bilingual("Which part of the picture belongs to which word?", "每个词对应图片的哪里？"),
    "dimensions": Bilingual("What do the principal components of its embedding add?", "嵌入的各主成分带来什么？"),
}
READING = Bilingual(
    "The first time, all the captions to choose from are read: this can take half a minute.",
    "第一次要先读完所有候选描述，可能需要半分钟。",
)
# Waits as a request does, unseen.
PRIVATE: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
COLUMNS = Bilingual("Caption", "描述"), Bilingual("Cosine similarity", "余弦相似度")
EXPLAINING = {"tour": Tour, "steps": Steps, "attention": Attention}
# A question about a picture asks for one, and says what becomes of a photograph; the others ask for a prompt.
FITTING = """question => [question !== "dimensions", question === "dimensions", question === "dimensions"]
  .map(visible => wire.update(question ? {visible} : {}))"""


def build(builder: TabBuilder) -> None:
    """Lay out the tab, with the endpoints `/explain` and `/caption`."""
    able = [name for name in ASKED if builder.service.can("text_to_image") and builder.service.can(name)]
    if not able:
        return
    with builder.tab("explain", "Explain", "解释", "text_to_image", "steps"):
        if not builder.service.can("caption"):
            _explain(builder, able)
            return
        with gr.Tabs() as sides:
            with gr.Tab(builder.say("Words to picture", "从文字到图片"), id=0):
                _explain(builder, able, [(sides, _opened(0))])
            with gr.Tab(builder.say("Picture to words", "从图片到文字"), id=1) as side:
                _caption(builder, [(sides, _opened(1))], side)


def _opened(side: int) -> dict[str, Any]:
    return gr.update(selected=side)


def _explain(builder: TabBuilder, able: list[str], opened: Sequence[tuple[Any, Any]] = ()) -> None:
    first = builder.service.checkpoints[0]
    with builder.task():
        with builder.asking():
            question, prompt, picture = _asking(builder, able)
            controls = builder.controls("Explain", "解释")
            builder.understood("explain", controls, [prompt])
        pictures = builder.pictures(film=True, captioned=True)
        with builder.options():
            seed, random_seed = builder.seed()
            literal = builder.literal()
            settings = builder.choices()
    gr.HTML("", html_template=TOLD, js_on_load=None, elem_classes="about")

    def explain(
        question: Literal["tour", "steps", "attention", "dimensions"],
        prompt: str = "",
        picture: str | None = None,
        seed: int | None = 0,
        random_seed: bool = True,
        settings: Any = "default",
        literal: bool = False,
        checkpoint: str = first,
        request: gr.Request = None,
    ) -> Iterator[Answer]:
        """Show how a picture comes about; answers as `/text_to_image`.

        "tour": the stations from the prompt to its picture: the words alone, what the prior imagines, each step, which
        word drew what, and what the embedding holds. "steps": what is predicted at each step of drawing the prompt.
        "attention": the prompt's picture, then for each word the same picture, highlighted where the word was read.
        "dimensions": the picture drawn from a growing number of the principal axes of its embedding.
        """
        order = Order(None if random_seed else seed, settings, checkpoint, literal=literal)
        ask = partial(_asked, question, prompt, picture)
        yield from builder.draw(
            ask, order, Bilingual("Picture", "图片"), request, lambda record: _named(record, request)
        )

    builder.on_draw(
        controls, explain, [question, prompt, picture, seed, random_seed, settings, literal], [pictures, seed]
    )
    known = [*opened, (question, "record.task"), (seed, "record.seed"), (random_seed, False)]
    words = [(prompt, "record.prompt"), (literal, "!record.asked")]
    # Results of the same questions come back with their settings, others with their words.
    for name in able:
        subject = [(picture, "sources.0")] if name == "dimensions" else words
        builder.add_reuse(name, "explain", [*known, *subject, (settings, "record.settings")])
    words_too = [*opened, *known[-2:], *words]
    builder.add_destination(
        Destination("explain", "explain", Bilingual("Explain", "解释"), words_too, task="text_to_image")
    )


def _asking(builder: TabBuilder, able: list[str]) -> tuple[gr.Radio, gr.Textbox, OwnPicture]:
    """Lay out the questions, and what they are about: a prompt, or a picture with what becomes of a photograph."""
    say = builder.say
    question = gr.Radio([(say(*ASKED[name]), name) for name in able], value=able[0], label=say("Question", "问题"))
    prompt = gr.Textbox(
        "",
        label=say("Prompt", "描述"),
        placeholder=say("What should the picture show?", "想画什么？"),
        lines=2,
        max_length=MAX_PROMPT_CHARACTERS,
    )
    picture = OwnPicture(say("Picture", "图片"))
    hint = builder.photograph_hint(
        "This checkpoint knows {} only: of a photograph it sees rough shapes in similar colours.",
        "这个模型只认识{}：照片在它眼里只是颜色相近的粗略形状。",
    )
    picture.visible = hint.visible = able[0] == "dimensions"
    question.change(None, question, [prompt, picture, hint], js=FITTING, **HERE)
    return question, prompt, picture


def _asked(question: str, prompt: str, picture: str | None) -> Request:
    """Return the question as a request; Refusal where there is no such question."""
    if question == "dimensions":
        return Dimensions(open_picture(picture), AXES)
    if question not in EXPLAINING:
        raise Refusal(f"There is no question {question!r}: ask for one of {', '.join(ASKED)}.")
    return EXPLAINING[question](words(prompt))


def _reading(service: Service, read: set[str]) -> Callable[[str], None]:
    lock = threading.Lock()
    begun: set[str] = set()

    def read_captions(checkpoint: str) -> None:
        """Describe any picture, for the sake of what is kept of it; nothing is loaded and nobody waits for that.

        Of several who ask meanwhile one is enough.
        """
        if checkpoint not in service.checkpoints or service.queue.tickets:
            return
        with lock:
            if checkpoint in read or checkpoint in begun:
                return
            begun.add(checkpoint)
        try:
            with contextlib.suppress(Refusal), service.lease(checkpoint) as lease:
                lease.wait()
                for _ in service.caption(Caption([ANY_PICTURE], 1), checkpoint):
                    pass
                read.add(checkpoint)
        finally:
            with lock:
                begun.discard(checkpoint)

    return read_captions


def _caption(builder: TabBuilder, opened: Sequence[tuple[Any, Any]], side: gr.Tab) -> None:
    """Build the other way round, in this tab, with the endpoint `/caption`."""
    say, first = builder.say, builder.service.checkpoints[0]
    read: set[str] = set()  # checkpoints whose captions are embedded already
    with builder.task():
        with builder.asking():
            picture = OwnPicture(say("Picture to describe", "要描述的图片"))
            builder.photograph_hint(
                "This checkpoint knows {} only: for a photograph it gives the nearest captions of those, which seldom "
                "say what the photograph shows.",
                "这个模型只认识{}：给它照片，得到的是最接近的这类描述，很少说得出照片里的内容。",
            )
            controls = builder.controls("Describe", "描述图片")
        with gr.Column(elem_classes="results"):
            captions = _table(builder)
        with builder.options():
            num = gr.Slider(1, MAX_CAPTIONS, value=5, step=1, label=say("Number of captions", "描述数量"), buttons=[])

    def caption(
        picture: str, num: int = 5, checkpoint: str = first, request: gr.Request = None
    ) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Tell what a picture shows: the nearest captions and their cosines, in the checkpoint's own words.

        Answers a table {headers, data}, the nearest first, and the progress line.
        """
        try:
            with builder.service.lease(checkpoint) as lease:
                for event in lease.coming():
                    yield gr.skip(), loading(event, builder.facts.title(event.checkpoint), request)
                name = builder.service.offer(checkpoint).name
                for drawing in builder.service.caption(Caption([open_picture(picture)], num), name):
                    rows = [[text, round(score, 3)] for text, score in drawing.captions]
                    found = {"headers": [column.for_visitor(request) for column in COLUMNS], "data": rows}
                    line = progress(drawing, request)
                    if name not in read and line["state"] == "working":
                        line["text"] = READING.for_visitor(request)
                    yield found if drawing.finished else gr.skip(), line
                read.add(name)
        except Refusal as error:
            sentence = refused(error, request)
            yield gr.skip(), status("refused", sentence)
            raise gr.Error(sentence, visible=False, print_exception=False) from error

    builder.on_draw(controls, caption, [picture, num], [captions])
    # What takes seconds the first time is done while a picture is chosen; on ZeroGPU nothing of it would be kept.
    if accelerated(caption, builder.service) is caption:
        side.select(_reading(builder.service, read), builder.checkpoint, None, **PRIVATE)
    builder.add_destination(
        Destination("caption", "explain", Bilingual("Describe", "描述图片"), [*opened, (picture, "image")])
    )


def _table(builder: TabBuilder) -> gr.Dataframe:
    return gr.Dataframe(
        headers=[column.en for column in COLUMNS],
        datatype=["str", "number"],
        label=builder.say(
            "The nearest captions: the higher the similarity, the better it fits this picture",
            "最接近的描述：相似度越高越贴合这张图片",
        ),
        interactive=False,
        wrap=True,
        elem_classes="captions",
    )


def _named(record: Mapping[str, Any], request: gr.Request | None) -> str:
    """Return what one picture shows, from its record."""
    match record["task"]:
        case "tour":
            return _station(record).for_visitor(request)
        case "steps":
            index = record["step"]
            return (
                f"{STAGE[record['stage']].for_visitor(request)}, {Bilingual('step', '第').for_visitor(request)} {index}"
            )
        case "attention":
            return record["word"] or record["prompt"]
    return _components(record["axes"]).for_visitor(request)


def _station(record: Mapping[str, Any]) -> Bilingual:
    """Return where on the tour a picture stands, in plain words."""
    match record["part"]:
        case "text":
            return Bilingual("1. The words alone", "一、只有文字")
        case "imagined":
            return Bilingual(f"2. Imagined, {record['number']}", f"二、想象，第 {record['number']} 次")
        case "drawn":
            number = record["number"]
            return Bilingual(f"3. Other snow, {number}", f"三、换一片雪花点，第 {number} 次")
        case "steps":
            what = STAGE[record["stage"]]
            where = f"{record['step']}/{record['of']}"
            return Bilingual(f"4. {what.en}, step {where}", f"四、{what.zh}，第 {where} 步")
        case "word":
            return Bilingual(f"5. Where it read “{record['word']}”", f"五、读“{record['word']}”时看的地方")
    some, whole = record["axes"], record["of"]
    return Bilingual(f"6. From {some} of {whole} numbers", f"六、用 {whole} 个数中的 {some} 个")


def _components(count: int) -> Bilingual:
    if count == 0:
        return Bilingual("The mean embedding", "平均嵌入")
    return Bilingual("1 component" if count == 1 else f"{count} components", f"{count} 个主成分")

"""The tab "compare": two checkpoints or settings on the same prompt and seeds, a blind vote, and what votes add up to.

Until the vote the page has neither records nor names: who is A and who is B is known to the server alone.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from html import escape
from typing import Any

import gradio as gr

from dalle2.judgements.ranking import QUESTIONS, rank
from dalle2.serving.drawing import Drawing
from dalle2.serving.limits import words
from dalle2.serving.refusal import Refusal
from dalle2.serving.service import Service
from dalle2.settings import MAX_PROMPT_CHARACTERS
from dalle2.tasks.text_to_image import TextToImage
from dalle2.understanding.sentences import NotUnderstood
from demo.answers import refusal_for
from demo.blind_comparison import Pair, Side, contestant, keep, label, shuffled
from demo.gradio_internals import cache_bytes, cache_of, cache_picture
from demo.interface import described
from demo.language import Bilingual, refused
from demo.picker import checkpoints
from demo.pictures import Pictures
from demo.status import Status, loading, progress, status
from demo.tab_builder import HERE, Destination, TabBuilder
from demo.votes import Vote, Votes, usual_place

MAX_A_SIDE = 4
PAIR_SECONDS = 1800  # for so long a visitor may think before voting
LETTERS = "AB"
# The ballot has gone, and with it the focus: the answer is looked at.
LOOK = """() => {
  const line = document.querySelector("#tab-compare .results .status p");
  line.tabIndex = -1;
  line.focus();
  document.querySelector("#tab-compare .sides").scrollIntoView({block: "nearest"});
}"""
ANSWERS = (("A", "a"), ("A = B", "tie"), ("B", "b"))
ASKED = {
    "photorealism": Bilingual("Which is more photorealistic?", "哪边更像真实照片？"),
    "caption match": Bilingual("Which fits the prompt better?", "哪边更符合描述？"),
    "diversity": Bilingual("Which pictures differ more from one another?", "哪边的图片更多样？"),
}
COLUMNS = (
    Bilingual("Contestant", "选手"),
    Bilingual("Rating", "评分"),
    Bilingual("95 %", "95 %"),
    Bilingual("Win rate", "胜率"),
    Bilingual("95 %", "95 %"),
    Bilingual("Votes", "票数"),
)
FIRST, SECOND = Bilingual("First", "第一方"), Bilingual("Second", "第二方")
DRAWN = Bilingual("Which is better? Vote to see which is which.", "哪边更好？投票后揭晓。")
THANKS = Bilingual("Thank you. ", "谢谢。")
NO_VOTES = Bilingual("No votes yet: yours can be the first.", "还没有投票：来投第一票吧。")

log = logging.getLogger(__name__)


def build(builder: TabBuilder) -> None:
    """Lay out the tab, with the endpoints `/compare`, `/vote`, `/reveal` and `/standings`.

    The votes lie in `demo.votes.usual_place`.
    """
    if not builder.service.can("text_to_image"):
        return
    say = builder.say
    with builder.tab("compare", "Compare", "比较", "text_to_image") as tab:
        with builder.task():
            with builder.asking():
                prompt = gr.Textbox(
                    label=say("Prompt", "描述"),
                    placeholder=say("What should both draw?", "让双方画什么？"),
                    lines=2,
                    max_length=MAX_PROMPT_CHARACTERS,
                )
                controls = builder.controls("Draw both", "绘制双方")
            with gr.Column(elem_classes="results"):
                with gr.Row(elem_classes="sides"):
                    titles, boards = zip(*(_board(builder, letter) for letter in LETTERS), strict=True)
                answer = Status(status("idle", ""))
                slider = gr.ImageSlider(
                    label=say("A at the left, B at the right: move the line", "左边是 A，右边是 B：拖动分界线"),
                    format="png",
                    interactive=False,
                    buttons=["fullscreen"],
                    max_height=480,
                    elem_classes="slider",
                )
                with gr.Column(elem_classes="ballot"):
                    questions = [_question(builder, question) for question in QUESTIONS]
                    consent = gr.Checkbox(
                        False, label=say("My prompt may be kept with the vote", "允许将我的描述与投票一起保存")
                    )
                    with gr.Row():
                        vote_button = gr.Button(say("Vote, then show which is which", "投票并揭晓"), variant="primary")
                        reveal_button = gr.Button(say("Show without a vote", "不投票，直接揭晓"))
            with builder.options():
                count = gr.Slider(
                    1, MAX_A_SIDE, value=1, step=1, label=say("Pictures per side", "每边图片数"), buttons=[]
                )
                seed, random_seed = builder.seed()
                literal = builder.literal()
                with gr.Accordion(say(*FIRST)):
                    settings = builder.choices()
                with gr.Accordion(say(*SECOND)):
                    ready = builder.service.checkpoints
                    other_checkpoint = checkpoints(builder, say("Checkpoint of the second", "第二方的模型"), ready[-1])
                    builder.other_checkpoints.append(other_checkpoint)
                    # Two checkpoints are compared at equal settings, one at two of its own.
                    preset = "fast" if len(ready) == 1 else "default"
                    other_settings = builder.choices(preset, other_checkpoint)
        with gr.Column(elem_classes="standings"):
            table = gr.HTML()
            export = gr.DownloadButton(say("All votes as CSV", "下载全部投票 (CSV)"), size="sm")
        pair = gr.State(None, time_to_live=PAIR_SECONDS)
    votes = Votes(usual_place())

    inputs = [prompt, seed, random_seed, count, settings, other_settings, other_checkpoint, literal]
    builder.on_draw(controls, _comparing(builder, cache_of(slider)), inputs, [*boards, slider, pair, seed])
    # A new pair, new answers.
    fresh = json.dumps([None] * len(questions) + [_title(letter) for letter in LETTERS] + [status("idle", "")])
    controls.draw.click(None, None, [*questions, *titles, answer], js=f"() => {fresh}", **HERE)
    shown = [*boards, *titles, pair, answer]
    voted = vote_button.click(
        described(_voting(votes)), [pair, *questions, consent], shown, api_name="vote", show_progress="hidden"
    )
    revealed = reveal_button.click(reveal, pair, shown, api_name="reveal", show_progress="hidden")
    for told in (voted, revealed):
        told.success(None, None, None, js=LOOK, **HERE)
    count_up = _standings(votes, builder.service, cache_of(export))
    tab.select(count_up, None, [table, export], api_name="standings", show_progress="hidden")
    voted.success(count_up, None, [table, export], api_visibility="private", show_progress="hidden")
    known = [(prompt, "record.prompt"), (seed, "record.seed"), (random_seed, False), (settings, "record.settings")]
    known.append((literal, "!record.asked"))
    builder.add_destination(
        Destination("compare", "compare", Bilingual("Compare", "比较"), known, task="text_to_image")
    )


def _board(builder: TabBuilder, letter: str) -> tuple[gr.HTML, Pictures]:
    with gr.Column(min_width=140, elem_classes="side"):
        return gr.HTML(_title(letter)), builder.pictures()


def _title(text: str) -> str:
    return f"<h2>{escape(text)}</h2>"


def _question(builder: TabBuilder, question: str) -> gr.Radio:
    label = builder.say(*asked(builder.service)[question])
    return gr.Radio(ANSWERS, label=label, elem_classes=question.replace(" ", "-"))


def asked(service: Service) -> dict[str, Bilingual]:
    """Return the questions in words; what is not photographs is asked for likeness to the real thing."""
    subject = service.model().subject if service.checkpoints else None
    if not subject:
        return ASKED
    en, zh = subject["en"], subject.get("zh", subject["en"])
    return ASKED | {"photorealism": Bilingual(f"Which looks more like real {en}?", f"哪边更像真正的{zh}？")}


def _comparing(builder: TabBuilder, cache: str) -> Callable[..., Iterator[tuple]]:
    service = builder.service
    default = service.checkpoints[0]

    def compare(
        prompt: str,
        seed: int | None = 0,
        random_seed: bool = True,
        count: int = 1,
        settings: Any = "default",
        other_settings: Any = "fast",
        other_checkpoint: str = default,
        literal: bool = False,
        checkpoint: str = default,
        request: gr.Request = None,
    ) -> Iterator[tuple]:
        """Draw the same prompt and seeds with two settings or checkpoints, which come back shuffled and unsigned.

        Answers with A's pictures, B's pictures, both for a slider, the first seed, and the progress. `/vote` and
        `/reveal`, in the same session, tell which is which.
        """
        try:
            wanted = words(prompt)
            ways = [(settings, checkpoint), (other_settings, other_checkpoint)]
            _check(service, wanted, ways, literal)
            # The earlier pair goes, and with it the chance to vote on it.
            yield [], [], None, None, gr.skip(), status("working", "…")
            start, sides = None if random_seed else seed, []
            for which, way in zip((FIRST, SECOND), ways, strict=True):
                with service.lease(way[1]) as lease:  # each in its turn, where there is room for one alone
                    for event in lease.coming():
                        line = loading(event, builder.facts.title(event.checkpoint), request)
                        yield *[gr.skip()] * 5, line
                    asked_for = service.understood(TextToImage([wanted]), way[1], literal)
                    drawings = service.draw(asked_for, start, count, *way, most=MAX_A_SIDE)
                    with closing(drawings):
                        for drawing in drawings:
                            yield *[gr.skip()] * 5, _of_one(which, drawing, request)
                    start = drawing.seeds[0]  # the second one gets the same, also when it is random
                    sides.append(Side(contestant(service, *way), label(service, *way), drawing.pictures))
            assert start is not None, "each side has a seed"
            drawn = shuffled(sides, wanted, start)
            sheets = (drawn.a.sheet(), drawn.b.sheet())
            slides = tuple(cache_picture(sheet, cache) for sheet in sheets)
            builder.files.update(slides)  # Gradio would not delete what its slider keeps
            state = status("done", DRAWN.for_visitor(request))
            yield drawn.a.unsigned("A"), drawn.b.unsigned("B"), slides, drawn, start, state
        except (Refusal, NotUnderstood) as refusal:
            sentence = refusal_for(refusal, request)
            yield *[gr.skip()] * 5, status("refused", sentence)
            raise gr.Error(sentence, visible=False, print_exception=False) from refusal

    return compare


def _check(service: Service, prompt: str, ways: Sequence[tuple[Any, str]], literal: bool) -> None:
    """Refusal or NotUnderstood for what cannot be compared, as far as the checkpoints in memory can tell."""
    here = [way for way in ways if service.offer(way[1]).name in service.checkpoints]
    names = [contestant(service, *way) for way in here]
    if len(names) > 1 and names[0] == names[1]:
        raise Refusal("Both are the same: choose another quality, other settings or another checkpoint.")
    for _, checkpoint in here:
        service.understood(TextToImage([prompt]), checkpoint, literal)


def _of_one(which: Bilingual, drawing: Drawing, request: gr.Request | None) -> dict[str, Any]:
    """Return the progress of one of the two, whose end is not yet the end."""
    state = progress(drawing, request)
    name = "working" if drawing.finished else state["state"]
    return state | {"state": name, "text": f"{which.for_visitor(request)}: {state['text']}"}


def _voting(votes: Votes) -> Callable[..., tuple]:
    def vote(
        pair: Pair | None,
        photorealism: str | None = None,
        caption_match: str | None = None,
        diversity: str | None = None,
        keep_prompt: bool = False,
        request: gr.Request = None,
    ) -> tuple:
        """Vote once on the pair that `/compare` drew in this session: "a", "b", "tie" or nothing for each question.

        Answers with A's and B's pictures, now with their records, both names as HTML, and a sentence with them.
        The prompt is kept only if `keep_prompt`.
        """
        given = dict(zip(QUESTIONS, (photorealism, caption_match, diversity), strict=True))
        try:
            keep(votes, pair, {question: winner for question, winner in given.items() if winner}, keep_prompt)
        except Refusal as refusal:
            raise gr.Error(escape(refused(refusal, request)), print_exception=False) from refusal
        assert pair is not None, "what was kept is of a pair"
        return _revealed(pair, THANKS.for_visitor(request), request)

    return vote


def reveal(pair: Pair | None, request: gr.Request = None) -> tuple:
    """Show which is which without a vote; answers as `/vote`, which afterwards needs a new pair."""
    if pair is None:
        raise gr.Error(refused("There is nothing to show: draw a pair first.", request), print_exception=False)
    return _revealed(pair, "", request)


def _revealed(pair: Pair, thanks: str, request: gr.Request | None) -> tuple:
    """Both boards with records, their names, no pair to vote on any more, and the sentence."""
    a, b = pair.a.label, pair.b.label
    told = Bilingual(f"A is {a.en}, B is {b.en}.", f"A 是{a.zh}，B 是{b.zh}。")
    titles = [f"{letter}: {one.for_visitor(request)}" for letter, one in zip(LETTERS, (a, b), strict=True)]
    boards = [side.signed(title) for side, title in zip((pair.a, pair.b), titles, strict=True)]
    return *boards, *map(_title, titles), None, status("idle", thanks + told.for_visitor(request))


def _standings(votes: Votes, service: Service, cache: str) -> Callable[..., tuple[str, str]]:
    def standings(request: gr.Request = None) -> tuple[str, Any]:
        """Return the ranking of each question as an HTML table, and all votes as a CSV file."""
        try:
            # Gradio empties its cache in time.
            file = cache_bytes(votes.to_csv().encode(), "votes.csv", cache)
            return _tables(votes.read(), asked(service), request), file
        except (OSError, ValueError) as error:
            log.error("The votes cannot be read", exc_info=error)
            sentence = refused("The votes cannot be read now: the server's log says why.", request)
            raise gr.Error(sentence, print_exception=False) from error

    return standings


def _tables(votes: Sequence[Vote], said: Mapping[str, Bilingual], request: gr.Request | None) -> str:
    """Return the ranking of each question, as HTML."""

    def cells(tag: str, texts: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts) + "</tr>"

    sections = []
    for question in QUESTIONS:
        rows = "".join(cells("td", place.cells()) for place in rank(votes, question))
        head = cells("th", [column.for_visitor(request) for column in COLUMNS])
        table = f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"
        shown = table if rows else f"<p>{NO_VOTES.for_visitor(request)}</p>"
        heading = escape(said[question].for_visitor(request))
        sections.append(f"<section><h3>{heading}</h3>{shown}</section>")
    return "".join(sections)

"""A report of a picture that should not be shown: a dialog that all results and the history open.

What is kept of it, and the operator's view, are `dalle2.serving.reports`.
"""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import gradio as gr

from dalle2.serving.api.streams import checked
from dalle2.serving.refusal import Refusal
from dalle2.serving.reports import MOST_NOTE_CHARACTERS, REASONS, Report
from dalle2.serving.uploads import open_own
from demo.gradio_internals import set_prop
from demo.interface import described
from demo.language import Bilingual, refused
from demo.pictures import Pictures
from demo.status import Status, status
from demo.tab_builder import HERE, TabBuilder

TEMPLATE = Path(__file__).with_name("reporting.html").read_text(encoding="utf-8")
BEHAVIOUR = Path(__file__).with_name("reporting.js").read_text(encoding="utf-8")
# How a visitor reads the reasons, in this order.
SAID = {
    "sexual": Bilingual("Sexual content", "色情内容"),
    "violent": Bilingual("Violence", "暴力"),
    "hateful": Bilingual("Hate or insult", "仇恨或侮辱"),
    "person": Bilingual("It shows a real person, who has not agreed", "未经同意的真人肖像"),
    "copyright": Bilingual("Someone else's work or trademark", "侵犯他人的作品或商标"),
    "other": Bilingual("Something else", "其他"),
}
PATIENCE_SECONDS = 20  # until a report that nobody answers counts as lost
THANKS = Bilingual(
    "Thank you. The operator of this server will find your report.", "谢谢。本服务器的运营者会看到您的举报。"
)
ORDER = "() => ['pictures', 'reason', 'note', 'with_record'].map(name => window.reported[name])"
# The server may take no call at all.
NOT_TAKEN = """now => now?.state !== "working" || !window.wire.refused ? now
  : {...now, state: "refused", text: window.wire.refused, picture: window.reported.pictures[0].image.path}"""


class ReportForm(gr.HTML):
    """The dialog; it takes the event "report" of the window, a picture as in `Pictures`, or with a blob instead.

    What it shows changes in its script alone, so that an answer leaves what the visitor wrote.
    """

    def __init__(self, render: bool = True) -> None:
        super().__init__(
            None,
            label="Report",
            html_template=TEMPLATE,
            js_on_load=BEHAVIOUR,
            elem_classes="reporting",
            apply_default_css=False,
            reasons={reason: said._asdict() for reason, said in SAID.items()},
            most=MOST_NOTE_CHARACTERS,
            stay={},  # how long a file stays on the server; the builder knows
            patience=PATIENCE_SECONDS,
            render=render,
        )

    api_info = Status.api_info
    example_payload = Status.example_payload


def build(builder: TabBuilder) -> None:
    """Add the dialog, with the endpoint `/report`."""
    picture = Pictures(files=builder.files, visible=False)
    reason = gr.Dropdown(list(REASONS), value=REASONS[0], label="Reason", allow_custom_value=True, visible=False)
    note = gr.Textbox("", label="Note", visible=False)
    with_record = gr.Checkbox(False, label="With record", visible=False)
    form = ReportForm()
    set_prop(form, "stay", builder.stay._asdict())
    options = {"api_name": "report", "show_progress": "hidden", "concurrency_limit": None, "trigger_mode": "multiple"}
    sent = form.report(described(_reporting(builder)), [picture, reason, note, with_record], form, js=ORDER, **options)
    sent.failure(None, form, form, js=NOT_TAKEN, **HERE)


def _reporting(builder: TabBuilder) -> Callable[..., AsyncIterator[dict[str, Any]]]:
    service = builder.service

    def kept(paths: list[str], reason: str, note: str, with_record: bool, asker: str, bounded: bool) -> None:
        if len(paths or ()) != 1:
            raise Refusal(f"Report one picture at a time, not {len(paths or ())}.")
        service.reports.add(Report.of(open_own(paths[0]), reason, note, with_record), asker, bounded)

    async def report(
        pictures: list[str],
        reason: str,
        note: str = "",
        with_record: bool = False,
        request: gr.Request = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """Report a picture that should not be shown to whoever runs this server.

        Kept are the hash of its pixels, its checkpoint and seed, the reason and the note, and only `with_record` its
        record with the prompt; nothing of who reports it. `pictures` holds one.
        """
        about = {"picture": next(iter(pictures or ()), "")}  # another one may be reported before this is answered
        try:
            asked = builder.limits.report(request)
            await checked(kept, pictures, reason, note, with_record, *asked)
            yield status("done", THANKS.for_visitor(request)) | about
        except Refusal as error:
            sentence = refused(error, request)
            yield status("refused", sentence) | about
            raise gr.Error(sentence, visible=False, print_exception=False) from error

    return report

"""Results taken away in another form than they are shown in: larger, transparent, SVG, all in one file, as a film.

A component at the foot of the page, which all boards and the history hand their pictures to.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, GradioModel
from PIL import Image

from dalle2.requests import ANY_PICTURE
from dalle2.serving.forms import FORMS, check_enlarging, in_form
from dalle2.serving.limits import MAX_FRAMES
from dalle2.serving.refusal import Refusal
from dalle2.serving.uploads import open_own, read_record
from dalle2.settings import SIZES
from dalle2.tasks.enhance import Enhance
from demo import film
from demo.gradio_internals import cache_bytes, cache_file, cache_of
from demo.interface import described
from demo.language import Bilingual, refused
from demo.pictures import Pictures
from demo.status import loading, progress, status
from demo.tab_builder import BEGIN, END, HERE, TabBuilder
from demo.zero import accelerated

FOLDER = Path(__file__).parent
TEMPLATE = (FOLDER / "downloads.html").read_text(encoding="utf-8")
BEHAVIOUR = (FOLDER / "downloads.js").read_text(encoding="utf-8")
ORDER = "(_, form, checkpoint) => [window.order.pictures, window.order.form, checkpoint]"
ENDED = f"now => ({{...now, progress: ({END})(now.progress)}})"


class Ready(GradioModel):
    """The file to be saved, once it is there, and the progress."""

    progress: dict[str, Any]
    file: FileData | None = None


SCHEMA = Ready.model_json_schema()


class Downloads(gr.HTML):
    """Takes the event "take" of the window, {pictures, form}; a picture is as in `Pictures`, or has a blob instead."""

    data_model = Ready

    def __init__(self, render: bool = True) -> None:
        options = {"html_template": TEMPLATE, "js_on_load": BEHAVIOUR, "apply_default_css": False}
        super().__init__(
            None, label="File", elem_classes="downloads", begin=BEGIN, hidden=False, render=render, **options
        )

    def postprocess(self, value: tuple[dict[str, Any], str | None] | None) -> Ready:
        state, path = value or (status("idle", ""), None)
        return Ready(progress=state, file=FileData(path=path, orig_name=Path(path).name) if path else None)

    def api_info(self) -> dict[str, Any]:
        return dict(SCHEMA)

    def example_payload(self) -> Any:
        return None

    def example_value(self) -> Any:
        return None


def build(builder: TabBuilder) -> None:
    """Add the component, with the endpoint `/download`."""
    handed = Pictures(files=builder.files, visible=False)
    form = gr.Dropdown(list(FORMS), value=FORMS[0], label="Form", visible=False)
    downloads = Downloads()
    endpoint = accelerated(described(_downloading(builder, cache_of(downloads))), builder.service, Enhance(ANY_PICTURE))
    options = {"api_name": "download", "show_progress": "hidden", "concurrency_limit": None}
    taken = downloads.take(endpoint, [handed, form, builder.checkpoint], downloads, js=ORDER, **options)
    taken.failure(None, downloads, downloads, js=ENDED, **HERE)
    downloads.leave(None, None, None, cancels=[taken], **HERE)


def _downloading(builder: TabBuilder, cache: str) -> Any:
    service = builder.service
    first = service.checkpoints[0]

    def download(
        pictures: list[str],
        form: str = FORMS[0],
        checkpoint: str = first,
        request: gr.Request = None,
    ) -> Iterator[tuple[dict[str, Any], str | None]]:
        """Return one file made of pictures that were drawn here.

        `form` is "png", "512" or "1024" (pixels a side, by the checkpoint's upsampler), "transparent", "svg", "zip",
        "sheet", "strip", "gif" or "mp4". Answers with the progress and, at the end, the file.
        """
        try:
            if form not in FORMS:
                raise Refusal(f"There is no format {form}: choose one of {', '.join(FORMS)}.")
            if not pictures or len(pictures) > MAX_FRAMES:
                raise Refusal(f"Send 1 to {MAX_FRAMES} pictures, not {len(pictures or ())}.")
            named = [(_name(path), open_own(path)) for path in pictures]
            side = _side(form)
            if side and min(named[0][1].size) < side:
                with builder.limits.drawing(request), service.lease(checkpoint) as lease:
                    for event in lease.coming():
                        yield loading(event, builder.facts.title(event.checkpoint), request), None
                    drawer = service.offer(checkpoint).name
                    if "enhance" in service.model(drawer).capabilities:
                        name, small = named[0]
                        check_enlarging(service.model(drawer), small, side)
                        for drawing in service.draw(Enhance(small, side), 0, checkpoint=drawer):
                            yield progress(drawing, request), None
                        named = [(name, drawing.pictures[0])]
            file = _film(named, form, cache) if form in ("gif", "mp4") else _file(named, form, cache)
            yield status("done", Bilingual("Saved.", "已保存。").for_visitor(request)), file
        except Refusal as refusal:
            sentence = refused(refusal, request)
            yield status("refused", sentence), None
            raise gr.Error(sentence, visible=False, print_exception=False) from refusal

    return download


def _side(form: str) -> int | None:
    """Return the pixels that the form needs; edges come out best of a picture that was enlarged before."""
    return int(form) if form.isdigit() else SIZES[0] if form in ("transparent", "svg") else None


def _name(path: str) -> str:
    """Return what the file is called: its task and seed, where it has a record."""
    try:
        record = read_record(path)
        return f"{record.get('task')}-{record.get('seed')}"
    except Refusal:
        return "picture"


def _file(named: list[tuple[str, Image.Image]], form: str, cache: str) -> str:
    name, content = in_form(named, form)
    return cache_bytes(content, name, cache)


def _film(named: list[tuple[str, Image.Image]], form: str, cache: str) -> str:
    write = film.write_gif if form == "gif" else film.write_mp4
    with tempfile.TemporaryDirectory() as folder:
        made = write([picture for _, picture in named], Path(folder, f"{named[0][0]}.{form}"))
        return cache_file(made, cache)
